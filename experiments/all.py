"""The former name of `experiments.run_all`, so that old command lines keep working."""

from experiments import run_all

if __name__ == "__main__":
    run_all.start()
