//! Guides that list what the source has: the configuration's keys, the codes of errors. They must
//! not drift.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use syn::{Expr, ExprLit, Fields, ImplItem, Item, Lit, Member, Stmt, Type, visit::Visit};

use super::source::{Source, files, is_test, product, root};

/// Set to rewrite the generated parts of the guides instead of failing.
const BLESS: &str = "OPENPAM_BLESS";
const BEGIN: &str = "<!-- configuration reference: begin -->\n";
const END: &str = "<!-- configuration reference: end -->\n";

/// One key of the configuration.
struct Key {
    name: String,
    default: String,
    range: String,
    meaning: String,
}

fn doc(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
        let syn::Meta::NameValue(value) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &value.value else { return None };
        Some(text.value().trim().to_owned())
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The type's name without `Option<…>`.
fn type_name(of: &Type) -> String {
    let Type::Path(path) = of else { return String::new() };
    let Some(last) = path.path.segments.last() else { return String::new() };
    if last.ident == "Option"
        && let syn::PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(syn::GenericArgument::Type(inner)) = arguments.args.first()
    {
        return type_name(inner);
    }
    last.ident.to_string()
}

/// A default as an operator would write it.
fn written(expression: &Expr) -> String {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => format!("`\"{}\"`", text.value()),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => format!("`{}`", number.base10_digits()),
        Expr::Lit(ExprLit { lit: Lit::Bool(yes), .. }) => format!("`{}`", yes.value),
        Expr::Array(array) => {
            let items = array.elems.iter().map(|item| written(item).trim_matches('`').to_owned()).collect::<Vec<_>>();
            format!("`[{}]`", items.join(", "))
        }
        // `"text".to_owned()`, `["a", "b"].map(…).to_vec()`
        Expr::MethodCall(call) => written(&call.receiver),
        Expr::Call(call) => match call.func.as_ref() {
            Expr::Path(path) if path.path.segments.first().is_some_and(|first| first.ident == "SocketAddr") => {
                let port = call.args.first().and_then(|argument| match argument {
                    Expr::Tuple(tuple) => tuple.elems.iter().nth(1).map(written),
                    _ => None,
                });
                format!("`\"127.0.0.1:{}\"`", port.unwrap_or_default().trim_matches('`'))
            }
            _ => "empty".to_owned(),
        },
        Expr::Path(path) => match path.path.segments.last().map(|last| last.ident.to_string()) {
            Some(name) if name == "None" => "none".to_owned(),
            Some(name) => format!("`\"{}\"`", name.to_lowercase()),
            None => String::new(),
        },
        _ => String::new(),
    }
}

/// What each section's `Default` says, by type and field.
fn defaults(file: &syn::File) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for item in &file.items {
        let Item::Impl(block) = item else { continue };
        let is_default = block.trait_.as_ref().is_some_and(|(_, path, _)| path.is_ident("Default"));
        if !is_default {
            continue;
        }
        for item in &block.items {
            let ImplItem::Fn(function) = item else { continue };
            for statement in &function.block.stmts {
                let Stmt::Expr(Expr::Struct(made), _) = statement else { continue };
                for field in &made.fields {
                    if let Member::Named(name) = &field.member {
                        found.insert((type_name(&block.self_ty), name.to_string()), written(&field.expr));
                    }
                }
            }
        }
    }
    found
}

/// A number as the source writes it, products included.
fn number(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        Expr::Binary(binary) if matches!(binary.op, syn::BinOp::Mul(_)) => {
            Some(number(&binary.left)? * number(&binary.right)?)
        }
        _ => None,
    }
}

/// The ranges that the validation checks, by key.
fn ranges(source: &str) -> anyhow::Result<BTreeMap<String, String>> {
    #[derive(Default)]
    struct Ranges(BTreeMap<String, String>);
    impl<'ast> Visit<'ast> for Ranges {
        fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
            let arguments = call.args.iter().collect::<Vec<_>>();
            if call.method == "range"
                && let [Expr::Lit(ExprLit { lit: Lit::Str(key), .. }), _, least, most] = arguments.as_slice()
                && let (Some(least), Some(most)) = (number(least), number(most))
            {
                self.0.insert(key.value(), format!("{least} to {most}"));
            }
            syn::visit::visit_expr_method_call(self, call);
        }
    }
    let mut ranges = Ranges::default();
    ranges.visit_file(&syn::parse_file(source)?);
    Ok(ranges.0)
}

/// Every key of every section, in the order of the source.
fn keys(sections: &str, validation: &str) -> anyhow::Result<Vec<Key>> {
    let file = syn::parse_file(sections)?;
    let (defaults, ranges) = (defaults(&file), ranges(validation)?);
    let structs = file.items.iter().filter_map(|item| match item {
        Item::Struct(one) => Some((one.ident.to_string(), one)),
        _ => None,
    });
    let structs = structs.collect::<BTreeMap<_, _>>();
    let Fields::Named(sections) = &structs.get("Config").context("no struct Config")?.fields else {
        bail!("Config has no named fields");
    };
    let mut keys = Vec::new();
    for section in &sections.named {
        let name = section.ident.as_ref().context("a field without a name")?;
        let type_name = type_name(&section.ty);
        let Fields::Named(fields) = &structs.get(&type_name).with_context(|| format!("no struct {type_name}"))?.fields
        else {
            bail!("{type_name} has no named fields");
        };
        for field in &fields.named {
            let ident = field.ident.as_ref().context("a field without a name")?;
            let name = format!("{name}.{ident}");
            let default = defaults
                .get(&(type_name.clone(), ident.to_string()))
                .filter(|default| !default.is_empty())
                .with_context(|| format!("the default of {name} cannot be read"))?;
            let meaning = doc(&field.attrs);
            ensure!(!meaning.is_empty(), "{name} has no doc comment");
            keys.push(Key {
                default: default.clone(),
                range: ranges.get(&name).cloned().unwrap_or_default(),
                name,
                meaning,
            });
        }
    }
    for key in ranges.keys() {
        ensure!(keys.iter().any(|known| known.name == *key), "{key} has a range, but is no key");
    }
    Ok(keys)
}

fn reference(keys: &[Key]) -> String {
    let mut text = "| key | default | allowed | meaning |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        text.push_str(&format!("| `{}` | {} | {} | {} |\n", key.name, key.default, key.range, key.meaning));
    }
    text
}

#[test]
fn the_operators_guide_lists_every_key_with_its_default() -> anyhow::Result<()> {
    let sources = files(&["hub/src/config"], &[".rs"])?;
    let source = |path: &str| sources.iter().find(|source| source.path == path).with_context(|| path.to_owned());
    let text = |paths: &[&str]| {
        let texts = paths.iter().map(|path| Ok(source(path)?.text.as_str())).collect::<anyhow::Result<Vec<_>>>()?;
        // What a file says of itself may stand at its beginning only.
        let lines = texts.into_iter().flat_map(str::lines).filter(|line| !line.starts_with("//!"));
        anyhow::Ok(lines.collect::<Vec<_>>().join("\n"))
    };
    let sections = text(&["hub/src/config/sections.rs", "hub/src/config/buses.rs", "hub/src/config/ledger.rs"])?;
    let validation = text(&["hub/src/config/load.rs", "hub/src/config/buses.rs", "hub/src/config/ledger.rs"])?;
    let expected = reference(&keys(&sections, &validation)?);
    let path = root().join("docs/operator.md");
    let guide = std::fs::read_to_string(&path)?;
    let (before, rest) = guide.split_once(BEGIN).context("docs/operator.md has no configuration reference")?;
    let (written, after) = rest.split_once(END).context("the configuration reference has no end")?;
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}"))?;
        return Ok(());
    }
    ensure!(
        written == expected,
        "the configuration reference of docs/operator.md is stale; {BLESS}=1 cargo test -p openpam-tests --test \
         architecture documents writes it. Expected:\n{expected}"
    );
    Ok(())
}

/// Codes of errors, as the source names them.
#[derive(Default)]
struct Codes {
    found: BTreeSet<String>,
    in_code_function: bool,
}

fn literal(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        Expr::MethodCall(call) => literal(&call.receiver),
        _ => None,
    }
}

impl Codes {
    fn add(&mut self, expression: Option<&Expr>) {
        if let Some(code) = expression.and_then(literal)
            && is_code(&code)
        {
            self.found.insert(code);
        }
    }

    /// Functions that take a code, and at which place.
    fn place(name: &str, arguments: usize) -> Option<usize> {
        match (name, arguments) {
            ("access_ended", 2) => Some(0),
            ("new", 3) | ("field" | "invalid_field" | "add", 3) => Some(1),
            _ => None,
        }
    }
}

fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

impl<'ast> Visit<'ast> for Codes {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let outer = std::mem::replace(&mut self.in_code_function, function.sig.ident == "code");
        syn::visit::visit_impl_item_fn(self, function);
        self.in_code_function = outer;
    }

    fn visit_item_const(&mut self, constant: &'ast syn::ItemConst) {
        if constant.ident.to_string().starts_with("CODE_") {
            self.add(Some(&*constant.expr));
        }
        syn::visit::visit_item_const(self, constant);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        if self.in_code_function && is_code(&text.value()) {
            self.found.insert(text.value());
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if matches!(&field.member, Member::Named(name) if name == "code") {
            self.add(Some(&field.expr));
        }
        syn::visit::visit_field_value(self, field);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = call.func.as_ref()
            && let Some(last) = path.path.segments.last()
            && let Some(place) = Self::place(&last.ident.to_string(), call.args.len())
        {
            self.add(call.args.iter().nth(place));
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let Some(place) = Self::place(&call.method.to_string(), call.args.len()) {
            self.add(call.args.iter().nth(place));
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

fn codes(sources: &[Source]) -> anyhow::Result<BTreeSet<String>> {
    let mut codes = Codes::default();
    for source in sources {
        codes.visit_file(&syn::parse_file(&source.text).with_context(|| source.path.clone())?);
    }
    Ok(codes.found)
}

/// The codes that have a row in the guide.
fn documented(guide: &str) -> BTreeSet<String> {
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(code, _)| code.to_owned()).collect()
}

#[test]
fn every_code_of_an_error_is_explained_and_none_that_is_gone() -> anyhow::Result<()> {
    let sources = product()?;
    let sources = sources.into_iter().filter(|source| source.is_in("hub/src")).collect::<Vec<_>>();
    let (in_source, in_guide) =
        (codes(&sources)?, documented(&std::fs::read_to_string(root().join("docs/errors.md"))?));
    ensure!(in_source.len() > 60, "only {} codes found: has the way they are written changed?", in_source.len());
    let missing = in_source.difference(&in_guide).collect::<Vec<_>>();
    let stale = in_guide.difference(&in_source).collect::<Vec<_>>();
    ensure!(missing.is_empty(), "docs/errors.md does not explain {missing:?}");
    ensure!(stale.is_empty(), "docs/errors.md explains {stale:?}, which no source names any more");
    Ok(())
}

#[test]
fn codes_are_found_wherever_they_are_written() -> anyhow::Result<()> {
    let sample = Source::sample(
        "hub/src/sample.rs",
        r#"
        impl Error { fn code(&self) -> &'static str { match self { Self::A => "from_function", Self::B => "B!" } } }
        const CODE_A: &str = "from_constant"; const OTHER: &str = "no_code";
        const SIZE: MessageError = MessageError { code: "from_field", message: "text" };
        fn f() {
            Problem::new(StatusCode::OK, "from_problem", "Text.");
            Problem::invalid_field("reason", "from_invalid_field", "text");
            check.add("name", "from_add", "text");
            end(End::access_ended("from_end", "text"));
            FieldError { field: "a".into(), code: "from_into".into(), message: "m".to_owned() };
        }
        #[cfg(test)] mod tests { fn code() -> Problem { Problem::new(s, "in_a_test", "x") } }
        "#,
    );
    let found = codes(&[sample])?;
    let expected = [
        "from_add",
        "from_constant",
        "from_end",
        "from_field",
        "from_function",
        "from_into",
        "from_invalid_field",
        "from_problem",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(documented("| code |\n|---|\n| `a_b` | x |\ntext `c_d`\n"), BTreeSet::from(["a_b".to_owned()]));
    Ok(())
}

#[test]
fn a_key_is_read_with_default_range_and_meaning() -> anyhow::Result<()> {
    let sections = r#"
        pub struct Config { /// S.
            pub server: Option<Server> }
        pub struct Server { /// Where to
            /// listen.
            pub name: String, /// Days.
            pub days: u64 }
        impl Default for Server { fn default() -> Self { Self { name: "a".to_owned(), days: 1_000 } } }
        "#;
    let validation = "fn f() { mistakes.range(\"server.days\", days, 1, 86_400 * 30); }";
    let text = reference(&keys(sections, validation)?);
    ensure!(text.contains("| `server.name` | `\"a\"` |  | Where to listen. |"), "{text}");
    ensure!(text.contains("| `server.days` | `1000` | 1 to 2592000 | Days. |"), "{text}");
    Ok(())
}
