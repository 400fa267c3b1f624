//! The frozen layouts, as a text that can be compared.

use std::fmt::Write;

use abi_stable::type_layout::{TLField, TypeLayout};
use abi_stable::StableAbi;

use crate::contract;
use crate::contract::{Accepted, RawDelivery, RawRegistration, Registered, Report, ServiceObject};

/// All layouts and numbers of the contract. Each type and each field has a line. The text is the same in every build
/// for the same target width.
///
/// ```
/// let text = dss_abi_v1::layout::dump();
/// assert!(text.starts_with("revision v1, interface 1.0.0"));
/// ```
#[must_use]
pub fn dump() -> String {
    let mut dump = Dump {
        text: format!("revision v1, interface {}, {}-bit\n", crate::VERSION, usize::BITS),
        seen: Vec::new(),
    };
    dump.describe(<RawRegistration<'static> as StableAbi>::LAYOUT);
    dump.describe(<Registered as StableAbi>::LAYOUT);
    dump.describe(<Accepted as StableAbi>::LAYOUT);
    dump.describe(<Report as StableAbi>::LAYOUT);
    dump.describe(<RawDelivery as StableAbi>::LAYOUT);
    dump.describe(<ServiceObject as StableAbi>::LAYOUT);
    dump.text.push_str("\nnumbers\n");
    for (name, number) in NUMBERS {
        let _ = writeln!(dump.text, "    {}: {}", name, number);
    }
    dump.text
}

const NUMBERS: [(&str, i64); 13] = [
    ("FAILED", contract::FAILED as i64),
    ("Code::INVALID_HANDLE", contract::Code::INVALID_HANDLE.0 as i64),
    ("Code::STOPPING", contract::Code::STOPPING.0 as i64),
    ("Code::OUT_OF_MEMORY", contract::Code::OUT_OF_MEMORY.0 as i64),
    ("Code::NOT_REQUIRED", contract::Code::NOT_REQUIRED.0 as i64),
    ("Code::UNKNOWN_LIBRARY", contract::Code::UNKNOWN_LIBRARY.0 as i64),
    ("Code::WOULD_DEADLOCK", contract::Code::WOULD_DEADLOCK.0 as i64),
    ("Code::MISSING_FUNCTION", contract::Code::MISSING_FUNCTION.0 as i64),
    ("ENDED_DECODED", contract::ENDED_DECODED as i64),
    ("ENDED_REPLIED", contract::ENDED_REPLIED as i64),
    ("ENDED_COLLECTED", contract::ENDED_COLLECTED as i64),
    ("ENDED_CANCELLED", contract::ENDED_CANCELLED as i64),
    ("ENDED_FAILED", contract::ENDED_FAILED as i64),
];

struct Dump {
    text: String,
    seen: Vec<String>,
}

impl Dump {
    /// Describes a type, and then the types of this crate that it consists of.
    fn describe(&mut self, layout: &'static TypeLayout) {
        let name = layout.name().to_owned();
        if self.seen.contains(&name) {
            return;
        }
        self.seen.push(name);
        let (size, alignment) = (layout.size(), layout.alignment());
        let _ = writeln!(self.text, "\n{}: size {}, alignment {}", layout.full_type(), size, alignment);
        let fields: Vec<TLField> = layout.get_fields().into_iter().flat_map(|fields| fields.iter()).collect();
        for field in &fields {
            self.field(field);
        }
        // A trait object names its methods in a field that takes no room.
        let phantoms: Vec<TLField> = layout.phantom_fields().iter().collect();
        for field in fields.iter().chain(&phantoms) {
            self.follow(field.layout());
        }
    }

    /// Describes the types of this crate in a field, or in a container.
    fn follow(&mut self, layout: &'static TypeLayout) {
        if layout.package().as_str() == env!("CARGO_PKG_NAME") {
            self.describe(layout);
            return;
        }
        let key = format!("{:p}", layout);
        if self.seen.contains(&key) {
            return;
        }
        self.seen.push(key);
        let inner: Vec<TLField> = layout.get_fields().into_iter().flat_map(|fields| fields.iter()).collect();
        let phantoms: Vec<TLField> = layout.phantom_fields().iter().collect();
        for field in inner.iter().chain(&phantoms) {
            self.follow(field.layout());
        }
    }

    fn field(&mut self, field: &TLField) {
        let functions: Vec<String> =
            field.function_range().iter().map(|function| function.to_string()).collect();
        let shape = if functions.is_empty() { field.full_type().to_string() } else { functions.join("; ") };
        let _ = writeln!(
            self.text,
            "    {}: {} (size {}, alignment {})",
            field.name(),
            shape.split_whitespace().collect::<Vec<_>>().join(" "),
            field.layout().size(),
            field.layout().alignment()
        );
    }
}
