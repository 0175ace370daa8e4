"""Small NORB: real files, and rendered toys that stand in for them."""
