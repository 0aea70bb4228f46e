"""`python -m infinity` is the command `infinity`."""

from infinity.cli import main

if __name__ == "__main__":
    main()
