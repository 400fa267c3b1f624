//! The declaration's section in a PE file.

use std::borrow::Cow;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{DataDirectories, ExportTable, ImageNtHeaders, SectionTable};

use super::ReadError;
use super::image::{Exports, Image, Kind, check_end, check_platform, malformed, truncated};
use super::platform::Platform;

const SECTION: &[u8; 8] = b".dsslib\0";
const MODULE: &[u8; 8] = b".dssmod\0";
const DESCRIPTIONS: &[u8; 8] = b".dssdoc\0";

/// Reads a file that starts with `MZ`.
pub(super) fn read<'a>(bytes: &'a [u8], here: Option<&Platform>) -> Result<Image<'a>, ReadError> {
    let wrong = |error| malformed("PE", error);
    let dos_size = size_of::<pe::ImageDosHeader>();
    if bytes.len() < dos_size {
        return Err(truncated(bytes, dos_size as u64));
    }
    let dos = pe::ImageDosHeader::parse(bytes).map_err(wrong)?;
    let start = u64::from(dos.nt_headers_offset());
    // Signature, file header, and the number that distinguishes the two widths of the optional header.
    let end = start + 4 + size_of::<pe::ImageFileHeader>() as u64 + 2;
    check_end(bytes, end)?;
    if !bytes[start as usize..].starts_with(b"PE\0\0") {
        return Err(ReadError::NotALibrary { what: "a program for MS-DOS" });
    }
    let number = |at: u64| u16::from_le_bytes([bytes[at as usize], bytes[at as usize + 1]]);
    // The size of the optional header is the second last field of the file header.
    check_end(bytes, end - 2 + u64::from(number(end - 6)))?;
    match number(end - 2) {
        0x10b => read_wide::<pe::ImageNtHeaders32>(bytes, start, here),
        0x20b => read_wide::<pe::ImageNtHeaders64>(bytes, start, here),
        _ => Err(malformed("PE", "its optional header is neither 32-bit nor 64-bit")),
    }
}

fn read_wide<'a, H: ImageNtHeaders>(
    bytes: &'a [u8],
    start: u64,
    here: Option<&Platform>,
) -> Result<Image<'a>, ReadError> {
    let wrong = |error| malformed("PE", error);
    check_end(bytes, start + size_of::<H>() as u64)?;
    let mut offset = start;
    let (headers, directories) = H::parse(bytes, &mut offset).map_err(wrong)?;
    let file = headers.file_header();
    if !file.characteristics.get(LE).contains(pe::IMAGE_FILE_DLL) {
        return Err(ReadError::NotALibrary { what: "a Windows executable" });
    }
    let platform = platform(file.machine.get(LE), headers.is_type_64());
    check_platform(&platform, here)?;

    let table = u64::from(file.number_of_sections.get(LE)) * size_of::<pe::ImageSectionHeader>() as u64;
    check_end(bytes, offset.saturating_add(table))?;
    let sections = headers.sections(bytes, offset).map_err(wrong)?;
    check_end(bytes, sections.max_section_file_offset())?;
    let mut image = Image::new(platform);
    for section in sections.iter() {
        let kind = match &section.name {
            SECTION => Kind::Library,
            MODULE => Kind::Module,
            DESCRIPTIONS => Kind::Descriptions,
            _ => continue,
        };
        image.add(kind, section.pe_data(bytes).map_err(wrong)?);
    }
    if image.sections.is_empty() {
        image.exports = exports(bytes, &directories, &sections).unwrap_or_default();
    }
    Ok(image)
}

fn platform(machine: pe::Machine, wide: bool) -> Platform {
    let processor = match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => Cow::Borrowed("x86_64"),
        pe::IMAGE_FILE_MACHINE_I386 => Cow::Borrowed("x86"),
        pe::IMAGE_FILE_MACHINE_ARM64 => Cow::Borrowed("aarch64"),
        pe::IMAGE_FILE_MACHINE_ARM64EC => Cow::Borrowed("arm64ec"),
        pe::IMAGE_FILE_MACHINE_ARMNT => Cow::Borrowed("arm"),
        other => Cow::Owned(format!("processor number {}", other.0)),
    };
    Platform {
        system: "windows",
        processor,
        bits: if wide { 64 } else { 32 },
        big_endian: false,
        libc: None,
        float: None,
    }
}

fn exports(bytes: &[u8], directories: &DataDirectories<'_>, sections: &SectionTable<'_>) -> Option<Exports> {
    let directory = directories.get(pe::IMAGE_DIRECTORY_ENTRY_EXPORT)?;
    let data = directory.data(bytes, sections).ok()?;
    let address = directory.virtual_address.get(LE);
    let table = ExportTable::parse(data, address).ok()?;
    let mut exports = Exports::default();
    for pointer in table.name_pointers() {
        if let Some(at) = pointer.get(LE).checked_sub(address) {
            exports.add(data, at as usize, "");
        }
    }
    Some(exports)
}
