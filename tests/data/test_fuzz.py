"""Whatever is in a file, its reader returns or says in one line what is wrong; some of them must get through."""

import pytest

from tests.data.fuzz import fuzz_images, fuzz_tables, fuzz_token_files


@pytest.mark.slow
def test_no_table_breaks_its_reader():
    assert fuzz_tables(200) > 10


@pytest.mark.slow
def test_no_image_breaks_its_reader():
    assert fuzz_images(200) > 10


@pytest.mark.slow
def test_no_file_of_tokens_breaks_its_reader():
    assert fuzz_token_files(100) > 0
