//! What of a Rust source crosses the boundary: types with a fixed layout, the contract's traits, functions that C can call,
//! and constants. The rest is a crate's own, and a patch release may mend it.

use syn::{Attribute, ImplItem, Item, TraitItem, Visibility};

/// The part of a source that crosses the boundary, without words and bodies, laid out one way.
///
/// # Errors
/// `source` is no Rust.
pub(super) fn boundary(source: &str) -> syn::Result<String> {
    let mut file = syn::parse_file(source)?;
    file.attrs.clear();
    file.items.retain_mut(crosses);
    Ok(prettyplease::unparse(&file))
}

/// Whether an item crosses the boundary; of one that does, only what does is left.
fn crosses(item: &mut Item) -> bool {
    match item {
        // What a library wants of a module is said to the module.
        Item::Const(it) => strip(&mut it.attrs) && (is_public(&it.vis) || it.ident == "WANTS"),
        Item::Struct(it) => {
            it.fields.iter_mut().for_each(|field| _ = strip(&mut field.attrs));
            strip(&mut it.attrs) && has(&it.attrs, "repr")
        }
        Item::Union(it) => {
            it.fields.named.iter_mut().for_each(|field| _ = strip(&mut field.attrs));
            strip(&mut it.attrs) && has(&it.attrs, "repr")
        }
        Item::Enum(it) => {
            for variant in &mut it.variants {
                variant.fields.iter_mut().for_each(|field| _ = strip(&mut field.attrs));
                strip(&mut variant.attrs);
            }
            strip(&mut it.attrs) && has(&it.attrs, "repr")
        }
        Item::Trait(it) => {
            for item in &mut it.items {
                if let TraitItem::Fn(method) = item {
                    strip(&mut method.attrs);
                    // That there is a default crosses, and not what it does.
                    method.default.iter_mut().for_each(|body| body.stmts.clear());
                }
            }
            strip(&mut it.attrs) && has(&it.attrs, "sabi_trait")
        }
        Item::Type(it) => strip(&mut it.attrs) && is_public(&it.vis),
        Item::Fn(it) => {
            it.block.stmts.clear();
            strip(&mut it.attrs) && is_public(&it.vis) && it.sig.abi.is_some()
        }
        Item::Impl(it) => {
            it.items.retain_mut(|item| match item {
                ImplItem::Const(it) => strip(&mut it.attrs) && is_public(&it.vis),
                _ => false,
            });
            strip(&mut it.attrs) && !it.items.is_empty()
        }
        Item::Mod(it) => {
            let Some((_, items)) = &mut it.content else { return false };
            items.retain_mut(crosses);
            strip(&mut it.attrs) && !items.is_empty()
        }
        _ => false,
    }
}

/// Leaves the attributes that have a say in a layout. Returns `true`, to stand in a chain.
fn strip(attributes: &mut Vec<Attribute>) -> bool {
    let telling = ["cfg", "repr", "sabi", "sabi_trait", "no_mangle"];
    attributes.retain(|attribute| telling.iter().any(|name| attribute.path().is_ident(name)));
    true
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
