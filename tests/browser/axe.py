"""axe-core (https://github.com/dequelabs/axe-core), which looks for what keeps people from using a page."""

from pathlib import Path

from tests.browser.dashboard_user import DashboardUser

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
_RUN = """
    const [rules, done] = arguments;
    const told = ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`;
    axe.run(rules.length ? { runOnly: rules } : {}).then(({ violations }) => done(violations.map(told)));
"""


def violations(user: DashboardUser, *rules: str) -> list[str]:
    """What is wrong with the page as it is, and with which elements; by these rules, or by all."""
    if not user.run("return Boolean(window.axe)"):
        user.run(_AXE)
    found: list[str] = user.driver.execute_async_script(_RUN, rules)
    return found
