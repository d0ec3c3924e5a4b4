//! `pounce new`: what it writes, and what it refuses; with the tools of each language, what its project does.

mod projects;
mod published;

use crate::support::exit::Exit;
use crate::support::pounce;
use std::path::Path;

/// Runs `pounce new` in a folder.
async fn new(folder: &Path, args: &[&str]) -> Exit {
    let builder = args.iter().fold(pounce().command("new"), |builder, arg| builder.arg(*arg));
    builder.within(folder).run().await
}

/// The files below a folder, from there, in order.
fn files(folder: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(root, &path, found),
                false => found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

fn read(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn each_language_has_its_project() {
    let dir = tempfile::tempdir().unwrap();
    for (language, name, expected) in [
        (
            "rust",
            "my-shop",
            &["Cargo.toml", ".cargo/config.toml", "src/lib.rs", "pounce-guest/Cargo.toml"][..],
        ),
        (
            "js",
            "shop-js",
            &["package.json", "src/app.js", "pounce-guest/index.d.ts", "wit/deps/telemetry.wit"],
        ),
        ("python", "shop_py", &["app.py", "requirements.txt", "pounce_guest/py.typed", "wit/world.wit"]),
    ] {
        let exit = new(dir.path(), &[name, "--lang", language]).await;
        exit.expect(0, &[]);
        for part in [&format!("cd {name}"), "pounce dev --build", "--cases cases.toml", "README.md"] {
            assert!(exit.stdout.contains(part), "{part:?} in {exit}");
        }
        let folder = dir.path().join(name);
        let there = files(&folder);
        for file in
            expected.iter().chain(&["README.md", "cases.toml", ".gitignore", ".github/workflows/ci.yml"])
        {
            assert!(there.contains(&(*file).to_owned()), "{language}: {file} in {there:?}");
        }
        assert!(there.iter().all(|file| !file.ends_with(".in")), "{there:?}");
        let readme = read(&folder, "README.md");
        assert!(
            readme.starts_with(&format!("# {name}\n")) && readme.lines().count() <= 45,
            "one screen: {readme}"
        );
        for file in &there {
            let text = read(&folder, file);
            assert!(
                !text.contains("kit-name") && !text.contains("kit_name"),
                "{language}: the name in {file}"
            );
            // Nothing of the machine that built Pounce.
            assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{language}: {file}");
        }
        assert!(!there.is_empty() && !folder.join("kit-name").exists());
    }
    assert!(read(dir.path(), "my-shop/Cargo.toml").contains("name = \"my-shop\""));
    assert!(
        read(dir.path(), "my-shop/README.md").contains("release/my_shop.wasm"),
        "Cargo's name for the file"
    );
    assert!(read(dir.path(), "shop-js/package.json").contains("dist/shop-js.wasm"));
    // The interface is this repository's, byte for byte.
    let wit = read(Path::new(env!("CARGO_MANIFEST_DIR")), "wit/telemetry.wit");
    for file in ["my-shop/pounce-guest/wit/telemetry.wit", "shop-js/wit/deps/telemetry.wit"] {
        assert_eq!(read(dir.path(), file), wit, "{file}");
    }
}

#[tokio::test]
async fn a_path_is_taken_and_so_is_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("guests/empty")).unwrap();
    for path in ["guests/shop", "guests/empty/", "./here"] {
        new(dir.path(), &[path, "--lang", "python"]).await.expect(0, &[]);
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap();
        assert!(read(dir.path(), &format!("{path}/README.md")).starts_with(&format!("# {name}\n")));
    }
}

#[tokio::test]
async fn names_that_a_language_would_refuse_are_refused_for_all() {
    let dir = tempfile::tempdir().unwrap();
    for (name, said) in [
        ("Shop", "try shop"),
        ("my shop", "try my-shop"),
        ("2shop", "begin with a letter"),
        ("fn", "try my-fn"),
        ("async", "try my-async"),
        ("shop.js", "try shop-js"),
        ("..", "is no name"),
    ] {
        let exit = new(dir.path(), &[name, "--lang", "rust"]).await;
        exit.expect(2, &["error:", said]);
        assert_eq!(exit.stdout, "", "{name}");
    }
    assert_eq!(files(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_language_is_asked_for_and_a_slip_is_told() {
    let dir = tempfile::tempdir().unwrap();
    new(dir.path(), &["shop"])
        .await
        .expect(2, &["--lang: is missing", "rust, js, python", "pounce new shop --lang rust"]);
    new(dir.path(), &["shop", "--lang", "pyton"])
        .await
        .expect(2, &["'pyton'", "rust, js, python", "'python'"]);
    new(dir.path(), &["shop", "--lnag", "rust"])
        .await
        .expect(2, &["--lnag: unknown flag", "did you mean --lang"]);
    // All mistakes at once.
    new(dir.path(), &["Shop"]).await.expect(2, &["--lang: is missing", "try shop"]);
    new(dir.path(), &["--lang", "rust"]).await.expect(2, &["NAME"]);
    for language in ["go", "golang"] {
        let exit = new(dir.path(), &["shop", "--lang", language]).await;
        exit.expect(2, &["there is no project for Go yet", "componentize-go", "docs/guest-go.md"]);
    }
    assert_eq!(files(dir.path()), [""; 0]);
    // As people call them.
    for (language, file) in [("javascript", "package.json"), ("py", "app.py"), ("rs", "Cargo.toml")] {
        let name = format!("in-{language}");
        new(dir.path(), &[&name, "--lang", language]).await.expect(0, &[]);
        read(&dir.path().join(name), file);
    }
}

#[tokio::test]
async fn nothing_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("shop")).unwrap();
    std::fs::write(dir.path().join("shop/mine.txt"), "mine").unwrap();
    std::fs::write(dir.path().join("file"), "mine").unwrap();
    new(dir.path(), &["shop", "--lang", "rust"])
        .await
        .expect(2, &["shop: is there already, and is not empty"]);
    new(dir.path(), &["file", "--lang", "rust"])
        .await
        .expect(2, &["file: is there already, and is no folder"]);
    new(dir.path(), &["no/shop", "--lang", "rust"])
        .await
        .expect(2, &["is in a folder that is not there", "mkdir -p no"]);
    assert_eq!(files(dir.path()), ["file", "shop/mine.txt"]);
}

#[tokio::test]
async fn where_it_may_not_write_it_says_so() {
    // Nobody may, root neither.
    let exit = new(Path::new("/"), &["/sys/shop", "--lang", "rust"]).await;
    exit.expect(
        1,
        &["/sys/shop: can't be written", "not permitted|permission denied|read-only", "tip: name a folder"],
    );
}

/// Files of more than 512 bytes cannot be written, as on a disk that is full.
#[tokio::test]
async fn a_project_that_cannot_be_finished_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"];
    let builder = pounce().command("new").launched_by(limited).within(dir.path());
    let exit = builder.arg("shop").flag("--lang", "js").run().await;
    exit.expect(1, &["shop/", "can't be written", "too large", "nothing of the project is left"]);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
