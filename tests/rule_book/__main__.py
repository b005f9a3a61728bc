"""`python -m tests.rule_book`: writes scenarios/rule-book.yaml anew."""

from tests.rule_book.writing import FILE, written

if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
