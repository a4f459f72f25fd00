"""What the programs say of themselves with --help: their options, variables, defaults and commands. For checks that hold
documents and shipped files to the programs."""

import functools
import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent

OPTION = re.compile(r"^ +(?:-\w, |    )(--[a-z][a-z-]*)(.*?)(?=^ +(?:-\w, |    )--|\Z)", re.M | re.S)
COMMANDS = re.compile(r"^Commands:\n((?: .*\n)+)", re.M)


def output(*command, **options):
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, **options).stdout


def build(packages):
    """Where these programs are, up to date."""
    output("cargo", "build", "--quiet", "--locked", "--bins", *(f"--package={package}" for package in packages))
    metadata = json.loads(output("cargo", "metadata", "--no-deps", "--locked", "--format-version=1"))
    return pathlib.Path(metadata["target_directory"], "debug")


@functools.cache
def help_of(program, *command):
    # What the caller has set must not show up as a default.
    env = {k: v for k, v in os.environ.items() if not k.startswith("STREAMIT_")}
    return output(program, *command, "--help", env=env)


def commands(text):
    """The commands that a help text lists."""
    listed = COMMANDS.search(text)
    return [name for name in re.findall(r"^  ([\w-]+)", listed[1], re.M) if name != "help"] if listed else []


def options(text):
    """(option, variable or None, default or None) of each option that a help text lists."""
    for option, rest in OPTION.findall(text):
        if option in ("--help", "--version"):
            continue
        variable = re.search(r"\[env:\s+(\w+)", rest)
        default = re.search(r"\[default:\s+(.+?)\]", rest)
        default = default and default[1] if default and default[1] != '""' else None
        yield option, variable and variable[1], default
