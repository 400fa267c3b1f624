//! The derive macros of `dss-abi-v2`. Do not depend on this crate: `dss-abi-v2` re-exports them.
//!
//! A struct with named fields is a table in Lua. Each field has its name as the key:
//!
//! ```ignore
//! #[derive(IntoValue, FromValue)]
//! struct Options {
//!     path: String,
//!     #[dss(rename = "max-depth")]
//!     max_depth: Option<u32>, // may be missing, like any `Option`
//!     #[dss(default)]
//!     recursive: bool, // may be missing, and is then `Default::default()`
//! }
//! ```
//!
//! | attribute of a field | effect |
//! |---|---|
//! | `#[dss(rename = "...")]` | the key in Lua has this name |
//! | `#[dss(default)]` | the field may be missing in Lua; it is then `Default::default()` |

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    parse_macro_input, parse_quote, Data, DeriveInput, Error, Fields, Generics, Ident, LitStr, Result, Type,
};

/// Implements `IntoValue` for a struct with named fields: it becomes a Lua table. A field that is nil is left out.
#[proc_macro_derive(IntoValue, attributes(dss))]
pub fn into_value(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input as DeriveInput), derive_into)
}

/// Implements `FromValue` for a struct with named fields: a Lua table converts to it.
///
/// A missing field is an error, unless it is an `Option` or has `#[dss(default)]`. Other keys of the table are
/// ignored.
#[proc_macro_derive(FromValue, attributes(dss))]
pub fn from_value(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input as DeriveInput), derive_from)
}

fn expand(input: DeriveInput, derive: fn(&DeriveInput, &[Field]) -> Tokens) -> TokenStream {
    match fields(&input) {
        Ok(fields) => derive(&input, &fields).into(),
        Err(error) => error.into_compile_error().into(),
    }
}

/// A field of the struct.
struct Field {
    name: Ident,
    ty: Type,
    /// Its key in Lua.
    key: LitStr,
    /// Whether it has `#[dss(default)]`.
    default: bool,
}

fn fields(input: &DeriveInput) -> Result<Vec<Field>> {
    let named = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            Fields::Unnamed(_) | Fields::Unit => return Err(unfit(input)),
        },
        Data::Enum(_) | Data::Union(_) => return Err(unfit(input)),
    };
    if let Some(attribute) = input.attrs.iter().find(|attribute| attribute.path().is_ident("dss")) {
        return Err(Error::new_spanned(attribute, "`dss` attributes stand at fields"));
    }
    let mut all = Vec::with_capacity(named.len());
    for field in named {
        // A field of a struct with named ones has a name.
        let name = match &field.ident {
            Some(name) => name.clone(),
            None => continue,
        };
        let text = name.to_string();
        let key = LitStr::new(text.strip_prefix("r#").unwrap_or(&text), name.span());
        let mut found = Field { name, ty: field.ty.clone(), key, default: false };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("dss")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("rename") {
                    found.key = meta.value()?.parse()?;
                    Ok(())
                } else if meta.path.is_ident("default") {
                    found.default = true;
                    Ok(())
                } else {
                    Err(meta.error("wanted `rename = \"...\"` or `default`"))
                }
            })?;
        }
        if all.iter().any(|other: &Field| other.key.value() == found.key.value()) {
            return Err(Error::new(found.key.span(), "another field has that name"));
        }
        all.push(found);
    }
    Ok(all)
}

fn unfit(input: &DeriveInput) -> Error {
    Error::new_spanned(
        &input.ident,
        "only a struct with named fields is a table: implement the trait by hand",
    )
}

/// The generics of the implementation. If the struct has type parameters, each field's type gets a bound.
fn bound(generics: &Generics, fields: &[Field], bounds: impl Fn(&Field) -> Tokens) -> Generics {
    let mut generics = generics.clone();
    if generics.type_params().next().is_some() {
        let predicates = &mut generics.make_where_clause().predicates;
        for field in fields {
            let (ty, bounds) = (&field.ty, bounds(field));
            predicates.push(parse_quote!(#ty: #bounds));
        }
    }
    generics
}

/// The place of a type, for an error. Names are resolved as those of this derive, even if the type comes from another
/// macro.
fn at(ty: &Type) -> Span {
    Span::call_site().located_at(ty.span())
}

fn derive_into(input: &DeriveInput, fields: &[Field]) -> Tokens {
    let generics = bound(&input.generics, fields, |_| quote!(::dss_abi_v2::IntoValue));
    let (parameters, arguments, conditions) = generics.split_for_impl();
    let (name, count) = (&input.ident, fields.len());
    let put = fields.iter().map(|Field { name, ty, key, .. }| {
        // In the place of the type, so that an error points at one that does not fit.
        quote_spanned!(at(ty)=> entries.put(#key, self.#name)?;)
    });
    quote! {
        #[automatically_derived]
        impl #parameters ::dss_abi_v2::IntoValue for #name #arguments #conditions {
            fn into_value(
                self,
            ) -> ::core::result::Result<::dss_abi_v2::Value, ::dss_abi_v2::ValueError> {
                #[allow(unused_mut)]
                let mut entries = ::dss_abi_v2::__private::Entries::with_capacity(#count);
                #(#put)*
                ::core::result::Result::Ok(entries.finish())
            }
        }
    }
}

fn derive_from(input: &DeriveInput, fields: &[Field]) -> Tokens {
    let generics = bound(&input.generics, fields, |field| {
        if field.default {
            quote!(::dss_abi_v2::FromValue + ::core::default::Default)
        } else {
            quote!(::dss_abi_v2::FromValue)
        }
    });
    let (parameters, arguments, conditions) = generics.split_for_impl();
    let name = &input.ident;
    let taken = fields.iter().map(|field| {
        let Field { name, ty, key, .. } = field;
        let taken = if field.default {
            quote_spanned!(at(ty)=> fields.take_or_default::<#ty>(#key)?)
        } else {
            quote_spanned!(at(ty)=> fields.take::<#ty>(#key)?)
        };
        quote!(#name: #taken)
    });
    quote! {
        #[automatically_derived]
        impl #parameters ::dss_abi_v2::FromValue for #name #arguments #conditions {
            fn from_value(
                value: ::dss_abi_v2::Value,
            ) -> ::core::result::Result<Self, ::dss_abi_v2::ValueError> {
                #[allow(unused_mut, unused_variables)]
                let mut fields = ::dss_abi_v2::__private::Fields::new(value)?;
                ::core::result::Result::Ok(#name { #(#taken),* })
            }
        }
    }
}
