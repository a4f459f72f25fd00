"""A container that runs one of our programs, as a manifest or the compose file describes it."""

from dataclasses import dataclass, field

# Targets of the Dockerfile, and the program in each, by which the image is called.
PROGRAMS = {"api": "streamit-api", "realtime": "streamit-realtime", "standalone": "streamit"}


@dataclass
class Container:
    where: str  # for people: file, object, container
    target: str  # of the Dockerfile
    args: list  # what stands after the program's name
    env: dict  # what the program sees; a value that only the cluster knows is None
    helpers: set = field(default_factory=set)  # variables that are there only to be a part of others
    ports: dict = field(default_factory=dict)  # name -> number, as declared
    asked: dict = field(default_factory=dict)  # what asks the program for its health -> the port it asks
    scraped: list = field(default_factory=list)  # ports on which metrics are looked for
    healthcheck: list = None  # a command line in the container, if there is one
    files: callable = None  # whether something is mounted at a path
    starts: bool = True  # whether all is there that the program needs

    @property
    def program(self):
        return PROGRAMS[self.target]

    @property
    def command(self):
        """The program's command: what is done when none is named is to serve."""
        return next((arg for arg in self.args if not arg.startswith("-")), "serve")


def target_of(image):
    """The Dockerfile's target that an image was built from, by the last part of its name; None for images of others."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return next((target for target, program in PROGRAMS.items() if program == name), None)


def port_of(address):
    """The port of HOST:PORT or of a bare port; None when there is none."""
    number = str(address).rpartition(":")[2].split("/")[0]
    return int(number) if number.isdigit() else None
