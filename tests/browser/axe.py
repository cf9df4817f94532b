"""axe-core (https://github.com/dequelabs/axe-core), which looks for what keeps people from using a page."""

from pathlib import Path

from tests.browser.visitor import Visitor

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
_RUN = """
    const [rules, done] = arguments;
    const told = ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`;
    axe.run(rules.length ? { runOnly: rules } : {}).then(({ violations }) => done(violations.map(told)));
"""


def violations(visitor: Visitor, *rules: str) -> list[str]:
    """What is wrong with the page as it is, and with which elements; by these rules, or by all."""
    if not visitor.run("return Boolean(window.axe)"):
        visitor.run(_AXE)
    found: list[str] = visitor.driver.execute_async_script(_RUN, rules)
    return found
