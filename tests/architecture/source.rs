//! The workspace's source: files, the paths they name, the string literals in them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proc_macro2::{TokenStream, TokenTree};
use syn::{UseTree, visit::Visit};

/// A source file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path from the root of the checkout.
    pub path: String,
    /// Content.
    pub text: String,
}

/// A path some code names, for instance `crate::domains::audit::record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its segments, with `super` and `self` resolved to `crate::…`.
    pub segments: Vec<String>,
    /// Line.
    pub line: usize,
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_path_buf()
}

impl Source {
    /// A file that is only in a sample.
    pub fn sample(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the file is `folder` + anything.
    pub fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// The module the file is, below `hub/src`: `["domains", "audit", "store"]`.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("hub/src/").trim_end_matches(".rs");
        let mut module = path.split('/').map(str::to_owned).collect::<Vec<_>>();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        module
    }

    /// Every path the code names, tests apart.
    pub fn paths(&self) -> anyhow::Result<Vec<Named>> {
        let file = self.parse()?;
        let mut collector = Paths { module: self.module(), found: Vec::new() };
        collector.visit_file(&file);
        Ok(collector.found)
    }

    /// Every string literal with its line, tests apart; those in macros too.
    pub fn strings(&self) -> anyhow::Result<Vec<(usize, String)>> {
        let file = self.parse()?;
        let mut strings = Strings::default();
        strings.visit_file(&file);
        Ok(strings.found)
    }

    /// Every attribute, tests included.
    pub fn attributes(&self) -> anyhow::Result<Vec<syn::Attribute>> {
        #[derive(Default)]
        struct Attributes(Vec<syn::Attribute>);
        impl<'ast> Visit<'ast> for Attributes {
            fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
                self.0.push(attribute.clone());
            }
        }
        let mut attributes = Attributes::default();
        attributes.visit_file(&self.parse()?);
        Ok(attributes.0)
    }

    fn parse(&self) -> anyhow::Result<syn::File> {
        syn::parse_file(&self.text).with_context(|| format!("{} is not Rust", self.path))
    }
}

/// Every file below `folders` whose name ends with one of `endings`; build output apart.
pub fn files(folders: &[&str], endings: &[&str]) -> anyhow::Result<Vec<Source>> {
    let root = root();
    let mut found = Vec::new();
    let mut open = folders.iter().map(|folder| root.join(folder)).collect::<Vec<_>>();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                let entry = entry?.path();
                let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if !matches!(name, "target" | "node_modules" | "dist" | ".git" | ".sqlx") {
                    open.push(entry);
                }
            }
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) && path.is_file() {
            let relative = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            found.push(Source { text: std::fs::read_to_string(&path)?, path: relative });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    anyhow::ensure!(!found.is_empty(), "no {endings:?} below {folders:?}: has the layout changed?");
    Ok(found)
}

/// The product's Rust.
pub fn product() -> anyhow::Result<Vec<Source>> {
    let mut folders = vec!["main.rs", "common", "hub"];
    folders.extend(["recordings", "satellite"].into_iter().filter(|folder| root().join(folder).exists()));
    files(&folders, &[".rs"])
}

/// Whether an item is for tests only.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test"))
    })
}

struct Paths {
    module: Vec<String>,
    found: Vec<Named>,
}

impl Paths {
    fn add(&mut self, segments: Vec<String>, line: usize) {
        let mut base = self.module.clone();
        let mut rest = segments.as_slice();
        let resolved = match rest.first().map(String::as_str) {
            Some("crate") => segments,
            Some("self" | "super") => {
                while let Some((first, others)) = rest.split_first() {
                    match first.as_str() {
                        "self" => {}
                        "super" => {
                            base.pop();
                        }
                        _ => break,
                    }
                    rest = others;
                }
                ["crate".to_owned()].into_iter().chain(base).chain(rest.iter().cloned()).collect()
            }
            _ => segments,
        };
        self.found.push(Named { segments: resolved, line });
    }

    fn add_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let joined = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.add_tree(&joined(path.ident.to_string()), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(prefix, tree)),
            UseTree::Name(name) => self.add(joined(name.ident.to_string()), name.ident.span().start().line),
            UseTree::Rename(name) => self.add(joined(name.ident.to_string()), name.ident.span().start().line),
            UseTree::Glob(glob) => self.add(joined("*".to_owned()), glob.star_token.spans[0].start().line),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) && module.content.is_some() {
            self.module.push(module.ident.to_string());
            syn::visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let line = first.ident.span().start().line;
            self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect(), line);
        }
        syn::visit::visit_path(self, path);
    }
}

#[derive(Default)]
struct Strings {
    found: Vec<(usize, String)>,
}

impl Strings {
    fn walk(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.walk(group.stream()),
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.found.push((line, text.value()));
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Strings {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    // Documentation is an attribute with a string.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.found.push((literal.span().start().line, literal.value()));
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.walk(called.tokens.clone());
    }
}
