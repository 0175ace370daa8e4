"""The command line without scores, pictures and rollouts, for tests of training: run with `-m`."""

from drnet_jax import main
from drnet_jax.commands import train

if __name__ == "__main__":
    train.evaluate.write = train.generate.write = train.generate.write_sample = lambda *args: None
    train.score.begin = lambda *args: None
    main.run()
