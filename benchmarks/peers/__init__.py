"""The same networks as plain `nn.Module`s written by hand: what a user would write instead of a spec."""
