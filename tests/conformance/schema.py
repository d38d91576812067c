"""Whether an answer is of the shape that the API's description gives it: botocore overlooks what it does not know."""

import re
import xml.etree.ElementTree as ElementTree

from wire import NAMESPACE

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def check(element, shape, path):
    """Complains of the first thing in an element that its shape has not."""
    kind, text = shape.type_name, (element.text or "").strip()
    children = [(child.tag.removeprefix(NAMESPACE), child) for child in element]
    if kind == "structure":
        assert not text, f"{path} has the text {text!r}"
        names = [name for name, _ in children]
        assert len(names) == len(set(names)), f"{path} has {names}"
        for name, child in children:
            assert name in shape.members, f"{path}.{name} is no member of {shape.name}"
            check(child, shape.members[name], f"{path}.{name}")
        missing = [name for name in shape.required_members if name not in names]
        assert not missing, f"{path} lacks {missing}"
    elif kind == "list":
        assert not text, f"{path} has the text {text!r}"
        for name, child in children:
            assert name == "member", f"{path} is a list and has {name}"
            check(child, shape.member, f"{path}[]")
    else:
        assert not children, f"{path} is {kind} and has {[name for name, _ in children]}"
        if kind == "boolean":
            assert text in ("true", "false"), f"{path} is {text!r}"
        elif kind in ("integer", "long"):
            assert re.fullmatch(r"-?\d+", text), f"{path} is {text!r}"
        elif kind == "timestamp":
            assert TIME.fullmatch(text), f"{path} is {text!r}"
        elif getattr(shape, "enum", None):
            assert text in shape.enum, f"{path} is {text!r}: {shape.enum}"


def answer(http_response, model, **_):
    """For botocore's event `after-call`."""
    root = ElementTree.fromstring(http_response.content)
    assert http_response.headers["x-amzn-requestid"]
    if http_response.status_code >= 300:
        assert root.tag == NAMESPACE + "ErrorResponse", root.tag
        return
    assert root.tag == f"{NAMESPACE}{model.name}Response", root.tag
    tags = [child.tag.removeprefix(NAMESPACE) for child in root]
    assert tags == [f"{model.name}Result", "ResponseMetadata"], tags
    if model.output_shape:
        check(root[0], model.output_shape, model.name)
