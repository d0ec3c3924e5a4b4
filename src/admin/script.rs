//! The modules of the viewer as one script. A browser that asks for each of them by itself has them twice as late: twenty
//! requests cost it more than what they bring.
//!
//! Modules are joined as they are written here, and not as anybody may write them: imports are at the head and name
//! what they take, exports stand before a function, a class or a constant. The tests of `viewer` hold that.

use std::fmt::Write as _;

/// A module: its path, and its text.
pub(super) type Module = (&'static str, &'static str);

/// The script that does what the module `first` does. Each module is a function that returns what it exports, after those
/// that it imports.
pub(super) fn joined(modules: &[Module], first: &str) -> String {
    let mut out = "const modules = {};\n".to_owned();
    add(&mut out, &mut Vec::new(), modules, first);
    out
}

fn add<'a>(out: &mut String, added: &mut Vec<&'a str>, modules: &'a [Module], path: &str) {
    let Some((path, text)) = modules.iter().find(|(known, _)| *known == path) else { return };
    if added.contains(path) {
        return;
    }
    added.push(path);
    let mut body = String::with_capacity(text.len());
    let mut exports = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("import ") {
            let mut statement = line.to_owned();
            while !statement.ends_with(';') {
                let Some(next) = lines.next() else { break };
                statement.push_str(next.trim());
            }
            if let Some((taken, from)) = import(&statement, path) {
                add(out, added, modules, &from);
                _ = writeln!(body, "const {taken} = modules[\"{from}\"];");
            }
        } else if let Some(exported) = line.strip_prefix("export ") {
            exports.extend(name(exported));
            _ = writeln!(body, "{exported}");
        } else {
            _ = writeln!(body, "{line}");
        }
    }
    let exports = exports.join(", ");
    _ = writeln!(out, "modules[\"{path}\"] = (() => {{\n{body}return {{ {exports} }};\n}})();");
}

/// What an import takes, as a pattern, and the path of the module that it takes it from.
fn import(statement: &str, path: &str) -> Option<(String, String)> {
    let (taken, from) = statement.strip_prefix("import ")?.strip_suffix("\";")?.split_once(" from \"")?;
    let taken = match taken.strip_prefix("* as ") {
        Some(name) => name.to_owned(),
        None => taken.replace(" as ", ": "),
    };
    let mut segments: Vec<_> = path.split('/').collect();
    segments.pop();
    for segment in from.split('/') {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    Some((taken, segments.join("/")))
}

/// The name that a line declares.
fn name(line: &str) -> Option<&str> {
    let declared = ["function ", "async function ", "class ", "const "];
    let rest = declared.iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|char: char| !char.is_alphanumeric() && char != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_functions_after_those_that_they_import() {
        let modules = [
            (
                "app.js",
                "import { a, b as c } from \"./view/list.js\";\nimport * as all from \"./model/x.js\";\nc(a, all);\n",
            ),
            ("model/x.js", "export const x = 1;\nexport class Y {}\n"),
            ("unused.js", "export const z = 1;\n"),
            (
                "view/list.js",
                "// Said.\nimport {\n  x,\n} from \"../model/x.js\";\n\nexport function a() {\n  return x;\n}\nexport async function b() {}\n",
            ),
        ];
        let wanted = "const modules = {};\n\
            modules[\"model/x.js\"] = (() => {\nconst x = 1;\nclass Y {}\nreturn { x, Y };\n})();\n\
            modules[\"view/list.js\"] = (() => {\n// Said.\nconst {x,} = modules[\"model/x.js\"];\n\n\
            function a() {\n  return x;\n}\nasync function b() {}\nreturn { a, b };\n})();\n\
            modules[\"app.js\"] = (() => {\nconst { a, b: c } = modules[\"view/list.js\"];\n\
            const all = modules[\"model/x.js\"];\nc(a, all);\nreturn {  };\n})();\n";
        assert_eq!(joined(&modules, "app.js"), wanted);
    }
}
