"""Messages of protocol v2: read by KServe, written by hand."""

import json
import struct
import tracemalloc

import numpy as np
import pytest
from kserve.protocol.infer_type import InferInput
from kserve.protocol.infer_type import InferRequest

from kgpm.errors import UserError
from kgpm.serving.v2_message import read_message
from kgpm.serving.v2_message import write_message

DATATYPES = {
    "BOOL": "?",
    **{f"INT{8 * n}": f"i{n}" for n in (1, 2, 4, 8)},
    **{f"UINT{8 * n}": f"u{n}" for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": f"f{n}" for n in (2, 4, 8)},
}


def message(*tensors, behind=b"", **more):
    """Bytes and length of the JSON, as in the header."""
    head = json.dumps({"inputs": tensors, **more}).encode()
    return head + behind, str(len(head))


def described(name, shape, datatype, **more):
    return {"name": name, "shape": shape, "datatype": datatype, **more}


def sized(name, shape, datatype, size):
    parameters = {"binary_data_size": size}
    return described(name, shape, datatype, parameters=parameters)


def test_bytes_are_little_endian_in_the_order_of_the_tensors():
    body, length = message(
        sized("a", [2], "INT32", 8),
        described("b", [1, 2, 1], "FP32", data=[[[1], [2.5]]]),
        sized("c", [], "FP64", 8),
        sized("d", [0, 3], "UINT8", 0),
        behind=struct.pack("<iid", 1, -2, 0.1),
        id="7",
    )
    content, arrays = read_message(body, length, "inputs")
    assert content["id"] == "7"
    assert list(arrays) == ["a", "b", "c", "d"]
    assert arrays["a"].tolist() == [1, -2]
    assert arrays["b"].tolist() == [[[1.0], [2.5]]]
    assert arrays["c"].shape == () and arrays["c"] == 0.1
    assert arrays["d"].shape == (0, 3)
    dtypes = [array.dtype for array in arrays.values()]
    assert dtypes == [np.int32, np.float64, np.float64, np.uint8]


def test_what_is_written_is_what_the_protocol_says():
    arrays = {
        "a": np.array([[1, 2]], ">i2"),
        "b": np.array([0.1, np.nan], "f4"),
        "c": np.array([[1, 2], [3, 4]], "u1").T,
    }
    body, length = write_message({"id": "7"}, "outputs", arrays, {"a", "b"})
    assert json.loads(body[:length]) == {
        "id": "7",
        "outputs": [
            sized("a", [1, 2], "INT16", 4),
            sized("b", [2], "FP32", 8),
            described("c", [2, 2], "UINT8", data=[1, 3, 2, 4]),
        ],
    }
    assert body[length:] == struct.pack("<hhff", 1, 2, 0.1, np.nan)


@pytest.mark.parametrize(("datatype", "code"), DATATYPES.items())
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_arrays_come_back_to_the_bit(datatype, code, shape):
    generator = np.random.default_rng(0)
    numbers = 100 * generator.random(shape)
    value = np.array(numbers).astype(code)
    # An array with gaps, behind one that leaves no address aligned.
    value = np.repeat(value, 2, axis=-1)[..., ::2] if shape else value
    tensors = {"odd": np.zeros(1, "u1"), "a": value}
    body, length = write_message({}, "inputs", tensors, tensors)
    assert json.loads(body[:length])["inputs"][1]["datatype"] == datatype
    _, arrays = read_message(body, str(length), "inputs")
    assert arrays["a"].dtype == code and arrays["a"].shape == shape
    assert arrays["a"].tobytes() == value.tobytes()


def test_kserve_reads_and_writes_the_same():
    value = np.arange(6, dtype="f4").reshape(2, 3)
    body, length = write_message({}, "inputs", {"a": value}, {"a"})
    (tensor,) = InferRequest.from_bytes(body, length, "small").inputs
    np.testing.assert_array_equal(tensor.as_numpy(), value)
    tensor = InferInput("a", [2, 3], "FP32")
    tensor.set_data_from_numpy(value)
    body, length = InferRequest("small", [tensor]).to_rest()
    _, arrays = read_message(body, str(length), "inputs")
    np.testing.assert_array_equal(arrays["a"], value)


@pytest.mark.parametrize(
    ("tensors", "behind", "expected"),
    [
        # Sizes that are not those of shape and datatype.
        ([sized("a", [2], "FP32", 4)], 4, "Expected a to hold as many"),
        ([sized("a", [2], "FP32", 9)], 9, "Expected a to hold as many"),
        ([sized("a", [], "FP32", 0)], 0, "Expected a to hold as many"),
        ([sized("a", [0], "FP32", 4)], 4, "Expected a to hold as many"),
        ([sized("a", [2**62, 4], "FP64", 0)], 0, "Expected a to hold as many"),
        ([sized("a", [0, 2**63], "FP64", 0)], 0, "Expected a to hold as many"),
        (
            [sized("a", [0, 2**62, 8], "FP64", 0)],
            0,
            "Expected a to hold as many",
        ),
        # Bytes that are not there, and bytes that are nobody's.
        ([sized("a", [2], "FP32", 8)], 7, "Expected a to hold as many"),
        (
            [sized("a", [1], "FP32", 4), sized("b", [1], "FP32", 4)],
            4,
            "Expected b to hold as many",
        ),
        ([sized("a", [1], "FP32", 4)], 5, r"Expected a message of \d+ bytes"),
        ([described("a", [1], "FP32", data=[1])], 1, "Expected a message of"),
        ([], 1, "Expected a message of"),
        # A size that is none.
        ([sized("a", [1], "FP32", 4.0)], 4, "neither or both"),
        ([sized("a", [1], "INT8", True)], 1, "neither or both"),
        ([sized("a", [1], "FP32", "4")], 4, "neither or both"),
        ([sized("a", [1], "FP32", -4)], 4, "Expected a to hold as many"),
        (
            [{**sized("a", [1], "FP32", 4), "data": [1]}],
            4,
            "neither or both",
        ),
        ([described("a", [1], "FP32", parameters=[4])], 4, "neither or both"),
        # Datatypes whose bytes are something else.
        ([sized("a", [1], "BYTES", 4)], 4, "of a datatype like"),
        ([sized("a", [1], "BF16", 2)], 2, "of a datatype like"),
        ([sized("a", [1], "fp32", 4)], 4, "of a datatype like"),
        ([sized("a", [1], "INT8", 1)] * 2, 2, "Expected a once"),
        ([sized("a", [1], "INT8", 1)] * 65, 65, "a list of at most 64"),
    ],
    ids=str,
)
def test_bytes_that_are_no_tensors(tensors, behind, expected):
    body, length = message(*tensors, behind=b"a" * behind)
    with pytest.raises(UserError, match=expected) as caught:
        read_message(body, length, "inputs")
    assert "\n" not in str(caught.value)


def test_a_string_does_not_make_all_numbers_as_long_as_it_is():
    tensor = described("a", [1001], "FP32", data=["a" * 10**5] + [1] * 1000)
    body, length = message(tensor)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="Expected a to hold as many"):
            read_message(body, length, "inputs")
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_bytes_without_a_length_of_the_json():
    body, _ = message(sized("a", [1], "FP32", 4), behind=b"abcd")
    with pytest.raises(UserError, match="with binary tensors and Inference-"):
        read_message(body, None, "inputs")


@pytest.mark.parametrize("length", ["14", "-1", "+3", "1_0", "", "\u0663"])
def test_a_length_of_the_json_that_is_none(length):
    with pytest.raises(UserError, match="Inference-.* at most 13 bytes"):
        read_message(b'{"inputs":[]}', length, "inputs")


@pytest.mark.parametrize("value", ["a", 1 + 2j, None, np.datetime64(1, "s")])
def test_arrays_that_the_protocol_does_not_have(value):
    arrays = {"a": np.array([value])}
    with pytest.raises(UserError, match="Expected a of a dtype like float32"):
        write_message({}, "inputs", arrays, {"a"})
