"""`python -m nexus_cli` is `nexus`."""

from nexus_cli.cli.main import main

if __name__ == "__main__":
    main()
