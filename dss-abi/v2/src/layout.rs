//! The frozen layouts, as a text that can be compared.

use std::fmt::Write;

use abi_stable::type_layout::{TLField, TypeLayout};
use abi_stable::StableAbi;

use crate::contract;
use crate::contract::{
    Accepted, AcceptedMany, Opening, RawAnswer, RawCall, RawClass, RawDelivery, RawRegistration, RawRequest,
    Registered, ServiceObject,
};
use crate::declaration;
use crate::value::RawValue;

/// All layouts and numbers of the contract. Each type and each field has a line. The text is the same in every build
/// for the same target width.
///
/// ```
/// let text = dss_abi_v2::layout::dump();
/// assert!(text.starts_with("revision v2, interface 1.0.0"));
/// ```
#[must_use]
pub fn dump() -> String {
    let mut dump = Dump {
        text: format!("revision v2, interface {}, {}-bit\n", crate::VERSION, usize::BITS),
        seen: Vec::new(),
    };
    dump.describe(<RawRegistration as StableAbi>::LAYOUT);
    dump.describe(<RawClass as StableAbi>::LAYOUT);
    dump.describe(<RawCall as StableAbi>::LAYOUT);
    dump.describe(<RawValue as StableAbi>::LAYOUT);
    dump.describe(<RawDelivery<'static> as StableAbi>::LAYOUT);
    dump.describe(<RawRequest<'static> as StableAbi>::LAYOUT);
    dump.describe(<RawAnswer as StableAbi>::LAYOUT);
    dump.describe(<Registered as StableAbi>::LAYOUT);
    dump.describe(<Accepted as StableAbi>::LAYOUT);
    dump.describe(<AcceptedMany as StableAbi>::LAYOUT);
    dump.describe(<ServiceObject as StableAbi>::LAYOUT);
    dump.opening();
    dump.text.push_str("\nnames\n");
    let _ = writeln!(dump.text, "    OPEN_SYMBOL: {}", contract::OPEN_SYMBOL);
    let _ = writeln!(dump.text, "    SECTION_ELF: {}", declaration::SECTION_ELF);
    let _ = writeln!(dump.text, "    SECTION_MACH_O: {}", declaration::SECTION_MACH_O.0);
    let _ = writeln!(dump.text, "    SECTION_MACH_O: {}", declaration::SECTION_MACH_O.1);
    let _ = writeln!(dump.text, "    SECTION_PE: {}", declaration::SECTION_PE);
    dump.text.push_str("\nnumbers\n");
    for (name, number) in NUMBERS {
        let _ = writeln!(dump.text, "    {}: {}", name, number);
    }
    dump.text
}

const NUMBERS: [(&str, i64); 23] = [
    ("MAX_DEPTH", crate::value::MAX_DEPTH as i64),
    ("ENDED_ANSWERED", contract::ENDED_ANSWERED as i64),
    ("ENDED_FAILED", contract::ENDED_FAILED as i64),
    ("ENDED_COLLECTED", contract::ENDED_COLLECTED as i64),
    ("ENDED_CANCELLED", contract::ENDED_CANCELLED as i64),
    ("ENDED_CLOSED", contract::ENDED_CLOSED as i64),
    ("ENDED_TIMED_OUT", contract::ENDED_TIMED_OUT as i64),
    ("ENDED_DROPPED", contract::ENDED_DROPPED as i64),
    ("POLICY_REFUSE", contract::POLICY_REFUSE as i64),
    ("POLICY_WAIT", contract::POLICY_WAIT as i64),
    ("POLICY_DROP_OLDEST", contract::POLICY_DROP_OLDEST as i64),
    ("POLICY_LATEST", contract::POLICY_LATEST as i64),
    ("Code::INVALID_HANDLE", contract::Code::INVALID_HANDLE.0 as i64),
    ("Code::STOPPING", contract::Code::STOPPING.0 as i64),
    ("Code::OUT_OF_MEMORY", contract::Code::OUT_OF_MEMORY.0 as i64),
    ("Code::WOULD_DEADLOCK", contract::Code::WOULD_DEADLOCK.0 as i64),
    ("Code::INVALID_STATE", contract::Code::INVALID_STATE.0 as i64),
    ("Code::FULL", contract::Code::FULL.0 as i64),
    ("Code::TIMED_OUT", contract::Code::TIMED_OUT.0 as i64),
    ("Code::INVALID_CALLBACK", contract::Code::INVALID_CALLBACK.0 as i64),
    ("Code::TOO_DEEP", contract::Code::TOO_DEEP.0 as i64),
    ("Code::TOO_LARGE", contract::Code::TOO_LARGE.0 as i64),
    ("Code::MALFORMED", contract::Code::MALFORMED.0 as i64),
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

    /// Describes the one record that is plain C and not part of the layout check.
    fn opening(&mut self) {
        let opening = Opening { size: 0, reserved: 0, rendezvous: std::ptr::null(), state: 0 };
        let start = &opening as *const Opening as usize;
        let size = std::mem::size_of::<Opening>();
        let _ =
            writeln!(self.text, "\nOpening: size {}, alignment {}", size, std::mem::align_of::<Opening>());
        for (name, shape, address) in [
            ("size", "u32", &opening.size as *const u32 as usize),
            ("reserved", "u32", &opening.reserved as *const u32 as usize),
            ("rendezvous", "*const Rendezvous", &opening.rendezvous as *const _ as usize),
            ("state", "usize", &opening.state as *const usize as usize),
        ] {
            let _ = writeln!(self.text, "    {}: {} (at {})", name, shape, address - start);
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
