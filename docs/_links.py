"""Names in code become links to the pages that document them."""

from _groups import PAGES
from _names import address_of, name_in, target_of
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform


class Links(SphinxTransform):
    """Wraps each literal that is a documented name in a link."""

    default_priority = 210

    def apply(self):
        """Called by Sphinx for each page."""
        for literal in list(self.document.findall(nodes.literal)):
            name = None if _within(literal) else name_in(literal.astext())
            link = name and self._link(name)
            if link is not None:
                literal.replace_self(link)
                link += literal

    def _link(self, name):
        page = self.env.docname
        target = target_of(name, page)
        if target is None:
            address = address_of(name)
            return None if address is None else nodes.reference("", "", refuri=address)
        if page == f"api/{PAGES.get(target, target)}":
            return None  # to this very page
        # `refwarn`: a name without a page is an error of the build.
        return addnodes.pending_xref(
            "",
            refdomain="py",
            reftype="obj",
            reftarget=target,
            refexplicit=True,
            refdoc=page,
            refwarn=True,
        )


def _within(node):
    """Whether the node is part of a link or a heading already."""
    while node := node.parent:
        if isinstance(node, (nodes.reference, addnodes.pending_xref, nodes.title, nodes.rubric)):
            return True
    return False
