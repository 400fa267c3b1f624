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
