//! The frozen layouts, as text that can be compared.

use std::fmt::Write;

use abi_stable::type_layout::TypeLayout;
use abi_stable::StableAbi;

use crate::contract::{Accepted, Code, RawDelivery, RawRegistration, Registered, Report, ServiceObject};

/// All layouts of the contract, a line a type and a line a field. The same on each build for the same target width.
#[must_use]
pub fn dump() -> String {
    let mut text = format!("revision v1, interface {}, {}-bit\n", crate::VERSION, usize::BITS);
    for layout in [
        <Report as StableAbi>::LAYOUT,
        <RawDelivery as StableAbi>::LAYOUT,
        <RawRegistration<'static> as StableAbi>::LAYOUT,
        <Code as StableAbi>::LAYOUT,
        <Registered as StableAbi>::LAYOUT,
        <Accepted as StableAbi>::LAYOUT,
        <ServiceObject as StableAbi>::LAYOUT,
    ] {
        describe(layout, &mut text);
    }
    text
}

fn describe(layout: &'static TypeLayout, text: &mut String) {
    let _ =
        writeln!(text, "\n{}: size {}, alignment {}", layout.full_type(), layout.size(), layout.alignment());
    for field in layout.get_fields().into_iter().flatten() {
        let functions: Vec<String> =
            field.function_range().iter().map(|function| function.to_string()).collect();
        let shape = if functions.is_empty() { field.full_type().to_string() } else { functions.join("; ") };
        let _ = writeln!(
            text,
            "    {}: {} (size {}, alignment {})",
            field.name(),
            shape.split_whitespace().collect::<Vec<_>>().join(" "),
            field.layout().size(),
            field.layout().alignment()
        );
    }
}
