//! What of a Rust source crosses the boundary: types with a fixed layout, the contract's traits, functions that C can call,
//! and constants. The rest is a crate's own, and a patch release may mend it.

use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, ImplItem, Item, ItemFn, TraitItemFn, Visibility};

/// The part of a source that crosses the boundary, without words and bodies, laid out one way.
///
/// # Errors
/// `source` is no Rust.
pub(super) fn boundary(source: &str) -> syn::Result<String> {
    let mut file = syn::parse_file(source)?;
    file.items.retain_mut(crosses);
    Strip.visit_file_mut(&mut file);
    Ok(prettyplease::unparse(&file))
}

/// Whether an item crosses the boundary; of one that holds others, only those that do are left.
fn crosses(item: &mut Item) -> bool {
    match item {
        // What a library wants of a module is said to the module.
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

/// Leaves the attributes that have a say in a layout, and of functions what they are called with and give.
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
        // That there is a default crosses, and not what it does.
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
