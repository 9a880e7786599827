"""Tables in Markdown."""

from ssl_tf import markdown


def test_a_bar_in_a_cell_divides_nothing():
    found = markdown.table(["name", "a|b"], [["one", "1"], ["x|y", ""]])
    assert found == "| name | a\\|b |\n| --- | --- |\n| one | 1 |\n| x\\|y |  |\n"
