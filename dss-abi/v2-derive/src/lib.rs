//! The derive macros of `dss-abi-v2`, which re-exports them.
//!
//! A struct with named fields is a table of Lua's, each field under its name:
//!
//! ```ignore
//! #[derive(IntoValue, FromValue)]
//! struct Options {
//!     path: String,
//!     #[dss(rename = "max-depth")]
//!     max_depth: Option<u32>, // may be missing, as any `Option`
//!     #[dss(default)]
//!     recursive: bool, // may be missing, and is `Default::default()` then
//! }
//! ```

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    parse_macro_input, parse_quote, Data, DeriveInput, Error, Fields, Generics, Ident, LitStr, Result, Type,
};

/// Makes a struct a table of Lua's. A field that is nil is left out.
#[proc_macro_derive(IntoValue, attributes(dss))]
pub fn into_value(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input as DeriveInput), derive_into)
}

/// Makes a struct of a table of Lua's. What else is in the table is ignored; a field that is missing is an error, unless it
/// is an `Option` or has `#[dss(default)]`.
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
    /// Its name in Lua.
    key: LitStr,
    /// Whether it may be missing.
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

/// The generics of the implementation: each type of a field that names a parameter is bound.
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

/// Where a type is, for an error; with the names that this derive makes, whatever macro the type comes from.
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
