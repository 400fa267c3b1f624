//! The parts of a Rust source that cross the boundary: types with a fixed layout, the contract's traits, functions that C can
//! call, and constants. A patch release may change everything else.

use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, ImplItem, Item, ItemFn, TraitItemFn, Visibility};

/// The part of a source that crosses the boundary, without comments and bodies, in a uniform format.
///
/// # Errors
/// `source` is not valid Rust.
pub(super) fn boundary(source: &str) -> syn::Result<String> {
    let mut file = syn::parse_file(source)?;
    file.items.retain_mut(crosses);
    Strip.visit_file_mut(&mut file);
    Ok(prettyplease::unparse(&file))
}

/// Whether an item crosses the boundary. Removes inner items that do not.
fn crosses(item: &mut Item) -> bool {
    match item {
        // `WANTS` is not public, but a library sends it to the module.
        Item::Const(it) => is_public(&it.vis) || it.ident == "WANTS",
        Item::Struct(it) => has(&it.attrs, "repr"),
        Item::Union(it) => has(&it.attrs, "repr"),
        Item::Enum(it) => has(&it.attrs, "repr"),
        Item::Trait(it) => has(&it.attrs, "sabi_trait"),
        Item::Type(it) => is_public(&it.vis),
        Item::Fn(it) => is_public(&it.vis) && it.sig.abi.is_some(),
        Item::Impl(it) => {
            it.items.retain(|item| matches!(item, ImplItem::Const(it) if is_public(&it.vis)));
            !it.items.is_empty()
        }
        Item::Mod(it) => {
            let Some((_, items)) = &mut it.content else { return false };
            items.retain_mut(crosses);
            !items.is_empty()
        }
        _ => false,
    }
}

/// Removes the bodies of functions, and all attributes that cannot affect a layout.
struct Strip;

impl VisitMut for Strip {
    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        attributes.retain(|attribute| {
            let telling = ["cfg", "repr", "sabi", "sabi_trait", "no_mangle"];
            telling.iter().any(|name| attribute.path().is_ident(name))
        });
    }

    fn visit_item_fn_mut(&mut self, function: &mut ItemFn) {
        function.block.stmts.clear();
        visit_mut::visit_item_fn_mut(self, function);
    }

    fn visit_trait_item_fn_mut(&mut self, method: &mut TraitItemFn) {
        // Whether there is a default body matters. Its content does not.
        method.default.iter_mut().for_each(|body| body.stmts.clear());
        visit_mut::visit_trait_item_fn_mut(self, method);
    }
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
