"""A container against the program that it runs: does the program know the command, the variables and the values, and does
everybody else ask on the ports where it listens?"""

import os
import pathlib
import re
import subprocess
import tempfile

import programs as cli

from .container import port_of

# What every program reads without telling so in --help (docs/configuration.md, "Logs and traces").
ALWAYS = {"RUST_LOG", "STREAMIT_LOG_FORMAT", "NO_COLOR"}
# The standard ones of OpenTelemetry: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
SIGNALS = r"(?:_TRACES|_METRICS|_LOGS)?"
OTEL = re.compile(
    r"OTEL_(?:SDK_DISABLED|SERVICE_NAME|RESOURCE_ATTRIBUTES|PROPAGATORS|TRACES_SAMPLER(?:_ARG)?"
    r"|(?:TRACES|METRICS|LOGS)_EXPORTER|METRIC_EXPORT_(?:INTERVAL|TIMEOUT)"
    r"|BSP_\w+|BLRP_\w+|(?:ATTRIBUTE|SPAN_ATTRIBUTE|SPAN_EVENT|SPAN_LINK|LOGRECORD_ATTRIBUTE)_\w+_LIMIT"
    rf"|EXPORTER_OTLP{SIGNALS}_(?:ENDPOINT|PROTOCOL|HEADERS|TIMEOUT|COMPRESSION|CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE))"
)
# Name of the port -> the variable that says where the program listens, and its default.
LISTENS = {"http": "STREAMIT_LISTEN", "grpc": "STREAMIT_GRPC_LISTEN", "metrics": "STREAMIT_METRICS_LISTEN"}
# No machine has it: a program that could be started gets as far as this address.
NOWHERE = "192.0.2.1:9"
# What stands in for a secret, so that a program's own look at its settings is content.
SECRETS = {
    "DATABASE_URL_FILE": "postgres://somebody:something@127.0.0.1:9/streamit",
    "REDIS_URL_FILE": "redis://127.0.0.1:9",
    "STREAMIT_GRPC_TOKEN_FILE": "something",
}
LIMIT = 20  # seconds


class Checks:
    """All checks of a container, against the programs in a directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        # What was tried already: the same command line in the same environment says the same.
        self.tried = {}

    def path(self, container):
        return str(self.directory / container.program)

    def check(self, container):
        """What is wrong with it, in words."""
        known = cli.commands(cli.help_of(self.path(container)))
        if container.command not in known:
            return [f"{container.where}: `{container.command}` is no command of {container.program}: {', '.join(known)}"]
        found = list(self.parse(container, container.args, "arguments"))
        found += self.variables(container)
        if container.healthcheck is not None:
            found += self.healthcheck(container)
        if container.command == "serve":
            found += self.ports(container)
            found += self.start(container) if container.starts and not found else []
        return found

    def variables_of(self, container):
        """Name -> default of the variables that the program's command reads."""
        path = self.path(container)
        texts = [cli.help_of(path, container.command)]
        if container.command == "serve":
            texts.append(cli.help_of(path))
        return {name: default for text in texts for _, name, default in cli.options(text) if name}

    def variables(self, container):
        known = self.variables_of(container)
        for name, value in container.env.items():
            if name in container.helpers:
                continue
            if name not in known and name not in ALWAYS and not OTEL.fullmatch(name):
                yield f"{container.where}: `{container.program} {container.command}` does not know the variable {name}"
            is_path = name.endswith("_FILE") or name in ("STREAMIT_SIGNING_KEYS", "STREAMIT_DATA_DIR")
            if is_path and value and container.files and not container.files(value):
                yield f"{container.where}: {name} is {value}, and nothing is mounted there"

    def parse(self, container, args, what):
        """Whether the program takes these arguments; --help keeps it from doing what they say."""
        key = (container.program, *args)
        if key not in self.tried:
            self.tried[key] = self.run(container, [*args, "--help"], env={})
        if self.tried[key].returncode != 0:
            told = first_line(self.tried[key].stderr)
            yield f"{container.where}: {container.program} does not take the {what} {args}: {told}"

    def healthcheck(self, container):
        program, *args = container.healthcheck
        if os.path.basename(program) != container.program:
            yield f"{container.where}: the healthcheck runs {program}, which is not in the image of {container.program}"
        elif "healthcheck" not in args:
            yield f"{container.where}: the healthcheck does not run the command `healthcheck`"
        else:
            yield from self.parse(container, args, "healthcheck")

    def ports(self, container):
        known = self.variables_of(container)
        for name, variable in LISTENS.items():
            address = container.env.get(variable, known.get(variable))
            declared = container.ports.get(name)
            if address is None:
                if declared is not None:
                    yield f"{container.where}: a port is called {name}, but {variable} is not set"
                continue
            port = port_of(address)
            if port is None:
                yield f"{container.where}: {variable} is {address}, which has no port"
            elif declared is not None and port != declared:
                yield f"{container.where}: {variable} is {address}, but the port called {name} is {declared}"
            elif declared is None and container.ports:
                yield f"{container.where}: {variable} is {address}, but no port is called {name}"
            if is_loopback(address):
                yield f"{container.where}: {variable} is {address}, where nobody outside the container gets"
        listens = port_of(container.env.get("STREAMIT_LISTEN", known.get("STREAMIT_LISTEN")))
        for who, port in container.asked.items():
            if port != listens:
                yield f"{container.where}: {who} asks on port {port}, but STREAMIT_LISTEN has {listens}"
        metrics = port_of(container.env.get("STREAMIT_METRICS_LISTEN") or "")
        for port in container.scraped:
            if port != metrics:
                yield f"{container.where}: metrics are looked for on port {port}, but STREAMIT_METRICS_LISTEN has {metrics}"

    def start(self, container):
        """Starts the program with all that it would see, where it can't listen: so it reads and judges every value, and
        ends. It says so of the address when everything else was to its liking."""
        key = (container.program, *container.args, *sorted(container.env.items(), key=str))
        if key not in self.tried:
            with tempfile.TemporaryDirectory() as home:
                self.tried[key] = self.start_in(home, container)
        return [f"{container.where}: {line}" for line in self.tried[key]]

    def start_in(self, home, container):
        # What would go out from here stays out.
        env = {name: value for name, value in container.env.items() if not name.startswith("OTEL_")}
        for name, value in env.items():
            if name in SECRETS:
                env[name] = os.path.join(home, name)
                pathlib.Path(env[name]).write_text(SECRETS[name])
                os.chmod(env[name], 0o600)
            elif name in ("STREAMIT_SIGNING_KEYS", "STREAMIT_DATA_DIR"):
                env[name] = home
            elif name == "STREAMIT_METRICS_LISTEN":
                env[name] = "127.0.0.1:0"
            elif value is None:
                env[name] = "x"
        listen = ["--listen", NOWHERE]
        takes = "--listen" in cli.help_of(self.path(container), container.command)
        args = [*container.args, *listen] if takes or not container.args else [*listen, *container.args]
        try:
            told = self.run(container, args, env)
        except subprocess.TimeoutExpired:
            return [f"{container.program} could not be tried: it did not end"]
        return [] if NOWHERE in told.stderr else [f"{container.program} would not start: {first_line(told.stderr)}"]

    def run(self, container, args, env):
        return subprocess.run([self.path(container), *args], env=env, capture_output=True, text=True, timeout=LIMIT)


def is_loopback(address):
    return bool(re.match(r"(127\.|localhost:|\[::1\])", address))


def first_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if "rror" in line]
    return (wrong or lines or ["it said nothing"])[0]
