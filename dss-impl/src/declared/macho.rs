//! The declaration's section in a Mach-O file, or in a universal file's part for this processor.

use std::borrow::Cow;

use object::read::macho::{
    FatArch, LoadCommandVariant, MachHeader, MachOFatFile32, MachOFatFile64, Nlist as _, Section as _,
    Segment as _,
};
use object::{Endianness, FileKind, macho};

use super::ReadError;
use super::image::{Exports, Image, Kind, check_end, check_platform, malformed, truncated};
use super::platform::Platform;

const SEGMENT: &[u8] = b"__DATA";
const SECTION: &[u8] = b"__dss_library";
const MODULE: &[u8] = b"__dss_module";
const DESCRIPTIONS: &[u8] = b"__dss_doc";

pub(super) fn read<'a, H>(bytes: &'a [u8], here: Option<&Platform>) -> Result<Image<'a>, ReadError>
where
    H: MachHeader<Endian = Endianness>,
{
    let wrong = |error| malformed("Mach-O", error);
    if bytes.len() < size_of::<H>() {
        return Err(truncated(bytes, size_of::<H>() as u64));
    }
    let header = H::parse(bytes, 0).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    if let Some(what) = not_a_library(header.filetype(endian)) {
        return Err(ReadError::NotALibrary { what });
    }
    let platform = platform(header.cputype(endian), header.is_big_endian());
    check_platform(&platform, here)?;
    check_end(bytes, size_of::<H>() as u64 + u64::from(header.sizeofcmds(endian)))?;

    let mut image = Image::new(platform);
    let mut symtab = None;
    let mut commands = header.load_commands(endian, bytes, 0).map_err(wrong)?;
    while let Some(command) = commands.next().map_err(wrong)? {
        if let LoadCommandVariant::Symtab(table) = command.variant().map_err(wrong)? {
            let symbols = u64::from(table.nsyms.get(endian)) * size_of::<H::Nlist>() as u64;
            check_end(bytes, u64::from(table.symoff.get(endian)).saturating_add(symbols))?;
            check_end(bytes, u64::from(table.stroff.get(endian)) + u64::from(table.strsize.get(endian)))?;
            symtab.get_or_insert(table);
        }
        let Some((segment, sections)) = H::Segment::from_command(command).map_err(wrong)? else {
            continue;
        };
        check_end(bytes, segment.fileoff(endian).into().saturating_add(segment.filesize(endian).into()))?;
        for section in segment.sections(endian, sections).map_err(wrong)? {
            let kind = match section.name() {
                SECTION if section.segment_name() == SEGMENT => Some(Kind::Library),
                MODULE if section.segment_name() == SEGMENT => Some(Kind::Module),
                DESCRIPTIONS if section.segment_name() == SEGMENT => Some(Kind::Descriptions),
                _ => None,
            };
            if let Some(kind) = kind {
                let offset = u64::from(section.offset(endian));
                check_end(bytes, offset.saturating_add(section.size(endian).into()))?;
                image.add(kind, section.data(endian, bytes, offset).map_err(wrong)?);
            }
        }
    }
    if let Some(table) = symtab.filter(|_| image.sections.is_empty()) {
        image.exports = exports::<H>(table, endian, bytes).unwrap_or_default();
    }
    Ok(image)
}

/// This processor's part of a universal file with 32-bit offsets.
pub(super) fn read_universal_32<'a>(
    bytes: &'a [u8],
    here: Option<&Platform>,
) -> Result<Image<'a>, ReadError> {
    let file = MachOFatFile32::parse(bytes).map_err(|error| malformed("Mach-O", error))?;
    read_part(bytes, file.arches(), here)
}

/// This processor's part of a universal file with 64-bit offsets.
pub(super) fn read_universal_64<'a>(
    bytes: &'a [u8],
    here: Option<&Platform>,
) -> Result<Image<'a>, ReadError> {
    let file = MachOFatFile64::parse(bytes).map_err(|error| malformed("Mach-O", error))?;
    read_part(bytes, file.arches(), here)
}

fn read_part<'a, A: FatArch>(
    bytes: &'a [u8],
    parts: &[A],
    here: Option<&Platform>,
) -> Result<Image<'a>, ReadError> {
    // The entry states the processor but not the byte order. Each of these processors has only one.
    let big_endian = here.is_some_and(|here| here.big_endian);
    let found = |part: &A| platform(part.cputype(), big_endian);
    let Some(part) = parts.iter().find(|part| here.is_none_or(|here| found(part).suits(here))) else {
        let here = here.map_or_else(String::new, Platform::to_string);
        let found: Vec<_> = parts.iter().take(8).map(|part| found(part).to_string()).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", or ") };
        return Err(ReadError::Foreign { found, here });
    };
    let (offset, size) = part.file_range();
    check_end(bytes, offset.saturating_add(size))?;
    let part = part.data(bytes).map_err(|error| malformed("Mach-O", error))?;
    match FileKind::parse(part) {
        Ok(FileKind::MachO32) => read::<macho::MachHeader32<Endianness>>(part, here),
        Ok(FileKind::MachO64) => read::<macho::MachHeader64<Endianness>>(part, here),
        _ => Err(malformed("Mach-O", "its part for this processor is not a Mach-O file")),
    }
}

/// What the file is, if loaders do not accept it as a library.
fn not_a_library(kind: macho::FileType) -> Option<&'static str> {
    match kind {
        macho::MH_DYLIB | macho::MH_BUNDLE => None,
        macho::MH_EXECUTE => Some("a Mach-O executable"),
        macho::MH_OBJECT => Some("a Mach-O object file (compiled, and not linked yet)"),
        macho::MH_CORE => Some("a core file"),
        macho::MH_DSYM => Some("a file of debug symbols"),
        macho::MH_DYLIB_STUB => Some("a stub to link with"),
        _ => Some("a Mach-O file of a kind that DSS does not know"),
    }
}

fn platform(processor: macho::CpuType, big_endian: bool) -> Platform {
    let (processor, bits) = match processor {
        macho::CPU_TYPE_X86_64 => ("x86_64", 64),
        macho::CPU_TYPE_X86 => ("x86", 32),
        macho::CPU_TYPE_ARM64 => ("aarch64", 64),
        macho::CPU_TYPE_ARM64_32 => ("aarch64", 32),
        macho::CPU_TYPE_ARM => ("arm", 32),
        macho::CPU_TYPE_POWERPC => ("powerpc", 32),
        macho::CPU_TYPE_POWERPC64 => ("powerpc64", 64),
        other => {
            let processor = Cow::Owned(format!("processor number {}", other.0));
            let bits = if other.0 & macho::CPU_ARCH_ABI64 == 0 { 32 } else { 64 };
            return Platform { system: "macos", processor, bits, big_endian, libc: None, float: None };
        }
    };
    Platform {
        system: "macos",
        processor: Cow::Borrowed(processor),
        bits,
        big_endian,
        libc: None,
        float: None,
    }
}

fn exports<H>(table: &macho::SymtabCommand<Endianness>, endian: Endianness, bytes: &[u8]) -> Option<Exports>
where
    H: MachHeader<Endian = Endianness>,
{
    let symbols = table.symbols::<H, _>(endian, bytes).ok()?;
    let start = table.stroff.get(endian) as usize;
    let strings = bytes.get(start..start.checked_add(table.strsize.get(endian) as usize)?)?;
    let mut exports = Exports::default();
    for symbol in symbols.iter().filter(|symbol| !symbol.is_undefined()) {
        exports.add(strings, symbol.n_strx(endian) as usize, "_");
    }
    Some(exports)
}
