use super::*;

#[derive(Debug, PartialEq, serde::Deserialize)]
struct User {
    name: String,
    age: u8,
}

#[test]
fn arrays_and_lines_are_told_apart() {
    for text in [
        r#"[{"name":"Ada","age":36},{"name":"Bo","age":7}]"#,
        "\u{feff} \n[ {\"name\":\"Ada\",\"age\":36}\n, {\"name\":\"Bo\",\"age\":7}]\n",
        "{\"name\":\"Ada\",\"age\":36}\n{\"name\":\"Bo\",\"age\":7}",
        "\n{\"name\":\"Ada\",\"age\":36}\r\n\r\n{\"name\":\"Bo\",\n\"age\":7}\r\n",
    ] {
        let feed = Feed::<User>::json_text(text).expect(text);
        let names: Vec<_> = feed.items().iter().map(|user| (&*user.name, user.age)).collect();
        assert_eq!(names, [("Ada", 36), ("Bo", 7)], "{text:?}");
    }
    assert_eq!(Feed::<u8>::json_text("1\n2 3").expect("documents").items(), [1, 2, 3]);
    assert_eq!(Feed::<[u8; 2]>::json_text("[[1,2],[3,4]]").expect("an array").items(), [[1, 2], [3, 4]]);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_way_out() {
    let table = [
        ("", "has no items: it is empty\nhint: "),
        (" \n\t", "it is empty"),
        ("[]", "its array is empty"),
        (
            "[1,\n{\"name\":\"Ada\"}]",
            "line 1, column 3: invalid type: integer `1`, expected struct User\nhint: each",
        ),
        (
            "\n\n[{\"name\":\"Ada\",\n \"age\":\"x\"}]",
            "line 4, column 10: invalid type: string \"x\", expected u8",
        ),
        (
            "{\"name\":\"Ada\",\"age\":1}\n{\"name\":\"Bo\"}",
            "line 2, column 13: missing field `age`\nhint: each document",
        ),
        (
            "{\"users\": []}",
            "hint: each document has to be an item of the feed's type, or the file one array",
        ),
        (
            "[{\"name\":\"Ada\",\"age\":1}]\n[]",
            "line 2, column 1: trailing characters\nhint: a file that begins with `[`",
        ),
        ("[{\"name\":\"Ada\",\"age\":1}", "EOF while parsing a list"),
        ("name,age\nAda,36\n", "line 1, column 2: expected ident\nhint: a feed is one array"),
    ];
    for (text, expected) in table {
        let told = error(Feed::<User>::json_text(text));
        assert!(told.contains(expected), "{text:?}: {told}");
    }
    let deep = "[".repeat(100_000);
    assert!(error(Feed::<serde_json::Value>::json_text(&deep)).contains("recursion limit"));
}

#[test]
fn files_are_named() {
    let missing = error(Feed::<User>::json("none.json"));
    assert!(missing.contains("`none.json` can't be read: no such file, looked for in "), "{missing}");
    let directory = tempfile::tempdir().expect("a directory");
    let told = error(Feed::<User>::json(directory.path()));
    assert!(told.contains(&directory.path().display().to_string()), "{told}");
    let path = directory.path().join("users.json");
    std::fs::write(&path, b"[{\"name\":\"\xe9\",\"age\":3}]").expect("written");
    let told = error(Feed::<User>::json(&path));
    assert!(told.contains("users.json` can't be read: line 1, column 1"), "{told}");
    std::fs::write(&path, "[{\"name\":\"Ada\",\"age\":3}]").expect("written");
    let feed = Feed::<User>::json(&path).expect("is read");
    assert!(feed.why(Nothing::Exhausted).contains("`users.json`"), "{feed:?}");
}
