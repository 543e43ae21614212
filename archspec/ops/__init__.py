"""The ops: a file per family, each op found by itself because its class exists."""
