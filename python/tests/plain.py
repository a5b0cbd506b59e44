"""What users have before they change the import: the plain save_json and load_json."""

import json
import os
import tempfile


def save_json(data, path, **kwargs):
    text = json.dumps(data, **{"indent": 2, "ensure_ascii": False, **kwargs})
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)
