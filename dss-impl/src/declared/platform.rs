//! What an image is built for, and what a process is.

use std::borrow::Cow;
use std::fmt;

/// A processor and a system, named as Rust names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`, `macos`, `windows`, ...; [`Platform::ANY_ELF`] if a file states only its format.
    pub system: &'static str,
    /// `x86_64`, `aarch64`, ...
    pub processor: Cow<'static, str>,
    /// The width of an address in bits.
    pub bits: u32,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// The C library. None if it is not known, or there is only one on the system.
    pub libc: Option<Libc>,
    /// How floating-point arguments are passed. None if it is not known, or the processor has only one way.
    pub float: Option<Float>,
}

/// A C library. A process has one: a file that is linked to another cannot be loaded into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// glibc.
    Gnu,
    /// musl.
    Musl,
    /// One whose file has no version: musl or Android's.
    Unversioned,
}

/// How ARM passes floating-point arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// In the registers of the floating-point unit.
    Hard,
    /// In those for integers.
    Soft,
}

impl Libc {
    /// The library that this code is linked to.
    const HERE: Option<Libc> = if cfg!(target_env = "gnu") && cfg!(target_os = "linux") {
        Some(Libc::Gnu)
    } else if cfg!(target_env = "musl") {
        Some(Libc::Musl)
    } else if cfg!(target_os = "android") {
        Some(Libc::Unversioned)
    } else {
        None
    };

    /// The library of that file name, if it tells.
    pub(super) fn named(file: &[u8]) -> Option<Self> {
        match file {
            b"libc.so.6" => Some(Libc::Gnu),
            b"libc.so" => Some(Libc::Unversioned),
            _ if file.starts_with(b"libc.musl-") => Some(Libc::Musl),
            _ => None,
        }
    }
}

impl Float {
    /// How this code passes them.
    const HERE: Option<Float> = if cfg!(not(target_arch = "arm")) {
        None
    } else if cfg!(target_abi = "eabihf") {
        Some(Float::Hard)
    } else {
        Some(Float::Soft)
    };
}

impl Platform {
    /// The system of an ELF file that names none. Most files name none.
    pub const ANY_ELF: &'static str = "elf";

    /// What this process is.
    #[must_use]
    pub fn here() -> Self {
        Self {
            system: std::env::consts::OS,
            processor: Cow::Borrowed(std::env::consts::ARCH),
            bits: usize::BITS,
            big_endian: cfg!(target_endian = "big"),
            libc: Libc::HERE,
            float: Float::HERE,
        }
    }

    /// Whether an image for this platform can be loaded into a process on `here`.
    #[must_use]
    pub fn suits(&self, here: &Self) -> bool {
        let system = self.system == here.system
            || match self.system {
                Self::ANY_ELF => !is_apple(here.system) && here.system != "windows",
                // They share one format, and the systems' own loaders tell them apart better than this could.
                "macos" => is_apple(here.system),
                "linux" => here.system == "android",
                _ => false,
            };
        system
            && self.processor == here.processor
            && self.bits == here.bits
            && self.big_endian == here.big_endian
            && self.clashing_libc(here).is_none()
            && self.clashing_float(here).is_none()
    }

    /// Its text, with the C library and the passing of floating-point arguments if `other` has another one.
    pub fn beside(&self, other: &Self) -> String {
        let libc = match self.clashing_libc(other) {
            Some(Libc::Gnu) => " with glibc",
            Some(Libc::Musl) => " with musl",
            Some(Libc::Unversioned) => " with musl or Android's libc",
            None => "",
        };
        let float = match self.clashing_float(other) {
            Some(Float::Hard) => ", hard-float",
            Some(Float::Soft) => ", soft-float",
            None => "",
        };
        format!("{self}{float}{libc}")
    }

    /// Its C library, if `other` is known to have another.
    fn clashing_libc(&self, other: &Self) -> Option<Libc> {
        let (own, other) = (self.libc?, other.libc?);
        ((own == Libc::Gnu) != (other == Libc::Gnu)).then_some(own)
    }

    /// How it passes floating-point arguments, if `other` is known to do it otherwise.
    fn clashing_float(&self, other: &Self) -> Option<Float> {
        let (own, other) = (self.float?, other.float?);
        (own != other).then_some(own)
    }
}

fn is_apple(system: &str) -> bool {
    matches!(system, "macos" | "ios" | "tvos" | "watchos" | "visionos")
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = match self.system {
            "linux" => "Linux",
            "macos" => "macOS",
            "windows" => "Windows",
            "freebsd" => "FreeBSD",
            "netbsd" => "NetBSD",
            "openbsd" => "OpenBSD",
            Self::ANY_ELF => "a system with ELF libraries",
            other => other,
        };
        // Big-endian is the exception, so only that is named.
        let order = if self.big_endian { " big-endian" } else { "" };
        write!(f, "{system} on {}-bit{order} {}", self.bits, self.processor)
    }
}
