"""A disk of the harness's own: ext4 in an image file on a loop device. It can be filled, and its power can be cut. Needs root."""

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

# ioctl FS_IOC_SHUTDOWN with NOLOGFLUSH: what was not synced is gone, the journal is replayed by the next mount.
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
# Left free by a foreign file that fills the disk.
CRUMBS_BYTES = 64 << 10


class Volume:
    """Mounted from the beginning to `close`."""

    def __init__(self, image: Path, mount: Path, size_bytes: int):
        why = unavailable()
        if why:
            raise RuntimeError(why)
        self.image, self.path = image, mount
        self.mounted = False
        mount.mkdir()
        with image.open("wb") as file:
            file.truncate(size_bytes)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-m", "0", image)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)
        self.mounted = True

    def unmount(self):
        if self.mounted:
            run("umount", self.path)
            self.mounted = False

    def cut_power(self):
        """From now on every write and sync fails, and what was not synced is lost."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def restore_power(self):
        """After all processes with open files are gone: off and on, with a replay of the journal."""
        self.unmount()
        self.mount()

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def fill(self):
        """A foreign file takes all but crumbs."""
        with self._filler.open("wb") as file:
            piece = 1 << 30
            done = 0
            while piece >= 4096:
                space = os.statvfs(self.path)
                free = space.f_bavail * space.f_frsize
                if free <= CRUMBS_BYTES:
                    return
                try:
                    os.posix_fallocate(file.fileno(), done, min(piece, free - CRUMBS_BYTES // 2))
                    done = os.fstat(file.fileno()).st_size
                except OSError:
                    done = os.fstat(file.fileno()).st_size
                    piece //= 2

    def free(self):
        self._filler.unlink(missing_ok=True)

    def close(self):
        self.unmount()
        self.image.unlink(missing_ok=True)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")


def unavailable() -> str | None:
    """Why no volume can be made here, if so."""
    if os.geteuid() != 0:
        return "a loop-mounted disk needs root"
    for program in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            return f"a loop-mounted disk needs {program}"
    return None
