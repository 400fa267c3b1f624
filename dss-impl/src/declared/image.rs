//! The kind of a file, and what the readers of the three formats have in common.

use object::{Endianness, FileKind, macho};

use super::platform::Platform;
use super::{MOST_FUNCTIONS, ReadError, elf, macho as mach, pe};

/// What a section contains, by its name.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Library,
    Module,
    Descriptions,
}

/// What was found in an image.
pub(super) struct Image<'a> {
    /// The contents of the sections with the name of a declaration's section, without empty ones. The search stops after two,
    /// because only one is allowed.
    pub(super) sections: Vec<&'a [u8]>,
    /// The same for the sections with the name of a module record's section.
    pub(super) modules: Vec<&'a [u8]>,
    /// The contents of the section with descriptions for tools. Empty if there is none.
    pub(super) descriptions: &'a [u8],
    /// What it is built for.
    pub(super) platform: Platform,
    /// Whether a loader may unmap it again. None if its format does not say.
    pub(super) unmappable: Option<bool>,
    /// The exports that tell what it is. Not read if there is a declaration.
    pub(super) exports: Exports,
}

/// The exports of an image that tell what it is. They are only hints for messages, so anything unreadable is ignored.
#[derive(Default)]
pub(super) struct Exports {
    /// The functions that make it a Lua module, in the order of its table, at most [`MOST_FUNCTIONS`].
    pub(super) openers: Vec<String>,
    /// The function by which DSS opens a library that declares itself.
    pub(super) entry: Option<String>,
}

impl Exports {
    /// Adds the text at `at` in a table of NUL-terminated texts, if it is of interest. All names have the prefix `before`.
    pub(super) fn add(&mut self, strings: &[u8], at: usize, before: &str) {
        let Some(text) = strings.get(at..).and_then(|text| text.strip_prefix(before.as_bytes())) else {
            return;
        };
        if self.openers.len() < MOST_FUNCTIONS {
            self.openers.extend(function(text, "luaopen_"));
        }
        if self.entry.is_none() {
            self.entry = function(text, "dss_library_");
        }
    }
}

impl<'a> Image<'a> {
    pub(super) fn new(platform: Platform) -> Self {
        Self {
            sections: Vec::new(),
            modules: Vec::new(),
            descriptions: &[],
            platform,
            unmappable: None,
            exports: Exports::default(),
        }
    }

    /// Adds another section of this kind.
    pub(super) fn add(&mut self, kind: Kind, section: &'a [u8]) {
        let sections = match kind {
            Kind::Library => &mut self.sections,
            Kind::Module => &mut self.modules,
            Kind::Descriptions => {
                self.descriptions = section;
                return;
            }
        };
        if sections.len() < 2 && !section.is_empty() {
            sections.push(section);
        }
    }
}

/// Finds the sections in an image that suits a process that is `here`. If that is `None`, any image suits, and the first part of
/// a file with several.
pub(super) fn read<'a>(bytes: &'a [u8], here: Option<&Platform>) -> Result<Image<'a>, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    if bytes.starts_with(b"MZ") {
        return pe::read(bytes, here);
    }
    // Finds a file that ends in its first few bytes. Longer files are recognised below.
    if bytes.len() < 16 {
        return Err(match () {
            () if bytes.starts_with(b"\x7fELF") => truncated(bytes, 64),
            () if is_mach(bytes) => truncated(bytes, 32),
            () => ReadError::NotALibrary { what: describe(bytes) },
        });
    }
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => elf::read::<object::elf::FileHeader32<Endianness>>(bytes, here),
        Ok(FileKind::Elf64) => elf::read::<object::elf::FileHeader64<Endianness>>(bytes, here),
        Ok(FileKind::MachO32) => mach::read::<macho::MachHeader32<Endianness>>(bytes, here),
        Ok(FileKind::MachO64) => mach::read::<macho::MachHeader64<Endianness>>(bytes, here),
        // Java class files start with the same bytes. Their next number is a version, which is larger than any file's number of architectures.
        Ok(FileKind::MachOFat32) if bytes[4..8] < [0, 0, 0, 43][..] => mach::read_universal_32(bytes, here),
        Ok(FileKind::MachOFat64) => mach::read_universal_64(bytes, here),
        _ if bytes.starts_with(b"\x7fELF") => Err(malformed("ELF", "its class is neither 32-bit nor 64-bit")),
        _ => Err(ReadError::NotALibrary { what: describe(bytes) }),
    }
}

fn is_mach(bytes: &[u8]) -> bool {
    matches!(bytes.first_chunk(), Some([0xfe, 0xed, 0xfa, 0xce | 0xcf] | [0xce | 0xcf, 0xfa, 0xed, 0xfe]))
}

/// What it is, judged by its first bytes, if it has none of the formats.
fn describe(bytes: &[u8]) -> &'static str {
    const BEGINNINGS: &[(&[u8], &str)] = &[
        (b"!<arch>\n", "a static archive"),
        (b"!<thin>\n", "a static archive"),
        (b"#!", "a script"),
        (b"/* GNU ld script", "a linker script"),
        (b"\x1bLua", "compiled Lua"),
        (b"\x1bLJ", "LuaJIT bytecode"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b", "a file packed by gzip"),
        (b"\xfd7zXZ\0", "a file packed by xz"),
        (b"\x28\xb5\x2f\xfd", "a file packed by zstd"),
        (b"\0asm", "a WebAssembly module"),
        (b"BC\xc0\xde", "LLVM bitcode"),
        (b"\xca\xfe\xba\xbe", "a Java class"),
    ];
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    match known {
        Some((_, what)) => what,
        None if is_text(bytes) => "a text file",
        None => "a file of a kind that DSS does not know",
    }
}

/// Whether it starts with readable UTF-8 text.
fn is_text(bytes: &[u8]) -> bool {
    let beginning = &bytes[..bytes.len().min(4096)];
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        // The last character was cut in two.
        Err(error) if error.error_len().is_none() && beginning.len() < bytes.len() => {
            let (text, _) = beginning.split_at(error.valid_up_to());
            std::str::from_utf8(text).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c'))
}

/// Refuses a file that ends before `end`, which is an offset in it.
pub(super) fn check_end(bytes: &[u8], end: u64) -> Result<(), ReadError> {
    if bytes.len() as u64 >= end { Ok(()) } else { Err(truncated(bytes, end)) }
}

pub(super) fn truncated(bytes: &[u8], needs: u64) -> ReadError {
    ReadError::Truncated { has: bytes.len() as u64, needs }
}

pub(super) fn malformed(format: &'static str, reason: impl ToString) -> ReadError {
    ReadError::Malformed { format, reason: reason.to_string() }
}

/// Refuses an image that does not suit a process that is `here`.
pub(super) fn check_platform(found: &Platform, here: Option<&Platform>) -> Result<(), ReadError> {
    match here {
        Some(here) if !found.suits(here) => {
            Err(ReadError::Foreign { found: found.beside(here), here: here.beside(found) })
        }
        _ => Ok(()),
    }
}

/// The name at the start of `text`, if it is `prefix` and more. Reads no more bytes than such a name has, because all symbols of a
/// large table may refer to the same text.
fn function(text: &[u8], prefix: &str) -> Option<String> {
    let name = text.strip_prefix(prefix.as_bytes())?;
    let name = &name[..name.len().min(128)];
    let end = name.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))?;
    if end == 0 || name[end] != 0 {
        return None;
    }
    Some(format!("{prefix}{}", String::from_utf8_lossy(&name[..end])))
}
