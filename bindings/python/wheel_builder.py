"""Makes the wheel: the package, libleat.so.0, and with LEAT_WHEEL_NEEDED=1 the libraries that it
needs beyond those that every Linux has. A build backend (PEP 517) of its own, since a wheel is a
zip file, and everything else would be a download.

The library is the one that LEAT_LIBRARY names, or is built by CMake into build/wheel of the tree.
"""

import base64
import hashlib
import os
import platform
import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TREE = FOLDER.parent.parent
# What a manylinux system has, or what belongs to its drivers. Source: PEP 600, PEP 513.
SYSTEM = re.compile(r"^(ld-linux.*|lib(c|m|dl|rt|pthread|util|gcc_s|stdc\+\+|GL|EGL|OpenGL"
                    r"|GLdispatch|vulkan))\.so")


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def version():
    text = (TREE / "CMakeLists.txt").read_text()
    return re.search(r"project\(leat VERSION ([0-9.]+)", text)[1]


def built_library():
    if os.environ.get("LEAT_LIBRARY"):
        return Path(os.environ["LEAT_LIBRARY"])
    build = TREE / "build" / "wheel"
    run("cmake", "-S", TREE, "-B", build, "-DCMAKE_BUILD_TYPE=Release",
        "-DLEAT_BUILD_PROGRAMS=OFF", "-DLEAT_BUILD_TESTS=OFF")
    run("cmake", "--build", build, "--target", "leat_shared", "-j", str(os.cpu_count()))
    return build / "lib" / "libleat.so.0"


def needed_by(library):
    """The libraries that it needs, each after those that it needs itself."""
    found = dict(re.findall(r"(\S+) => (/\S+)", run("ldd", library)))
    listed = []

    def add(name):
        path = found[name]
        for other in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", path)):
            if not SYSTEM.match(other) and other not in listed:
                add(other)
        if name not in listed:
            listed.append(name)

    for name in found:
        if not SYSTEM.match(name) and name not in listed:
            add(name)
    return [(name, Path(found[name])) for name in listed]


def stripped(library, folder):
    target = Path(folder) / "library"
    run("strip", "--strip-unneeded", "-o", target, library)
    return target.read_bytes()


def contents(with_needed):
    files = {f"leat/{path.name}": path.read_bytes() for path in (FOLDER / "leat").iterdir()
             if path.suffix == ".py" or path.name == "py.typed"}
    library = built_library()
    with tempfile.TemporaryDirectory() as folder:
        files["leat/libleat.so.0"] = stripped(library, folder)
    if with_needed:
        for i, (name, path) in enumerate(needed_by(library)):
            files[f"leat/needed/{i:02}-{name}"] = path.read_bytes()
    return files


def record_of(files, record):
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    return "\n".join(lines + [f"{record},,", ""]).encode()


def metadata():
    return (f"Metadata-Version: 2.1\nName: leat\nVersion: {version()}\n"
            "Summary: Runs neural networks on any GPU or CPU, without the vendor's SDK\n"
            "License: Apache-2.0\nRequires-Python: >=3.9\nRequires-Dist: numpy\n")


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with_needed = os.environ.get("LEAT_WHEEL_NEEDED") == "1"
    machine = platform.machine()
    # The C library that everything in it was linked against.
    release = platform.libc_ver()[1].replace(".", "_")
    system = f"manylinux_{release}_{machine}" if with_needed else f"linux_{machine}"
    info = f"leat-{version()}.dist-info"
    files = contents(with_needed)
    files[f"{info}/METADATA"] = metadata().encode()
    files[f"{info}/WHEEL"] = ("Wheel-Version: 1.0\nGenerator: leat\nRoot-Is-Purelib: false\n"
                              f"Tag: py3-none-{system}\n").encode()
    files[f"{info}/RECORD"] = record_of(files, f"{info}/RECORD")
    name = f"leat-{version()}-py3-none-{system}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    return name
