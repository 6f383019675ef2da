"""The Debian packages of an image are those that are installed, with their source packages."""

from __future__ import annotations

from memroll_release.debian_packages import parse_distribution, parse_status

STATUS = """\
Package: libstdc++6
Status: install ok installed
Architecture: amd64
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14+deb12u1
Description: GNU Standard C++ Library v3
 This is a text with a colon: it is no field.
 Version: 1

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: apt
Status: install ok installed
Architecture: amd64
Version: 1:2.6.1
"""


def test_only_installed_packages_are_listed_in_order():
    apt, library = parse_status(STATUS, "debian-12")
    assert (apt.name, apt.source, apt.version) == ("apt", "apt", "1:2.6.1")
    assert (library.name, library.source, library.version) == ("libstdc++6", "gcc-12", "12.2.0-14+deb12u1")


def test_a_package_url_is_escaped():
    apt, library = parse_status(STATUS, "debian-12")
    assert apt.purl == "pkg:deb/debian/apt@1%3A2.6.1?arch=amd64&distro=debian-12"
    assert library.purl == "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"


def test_the_distribution_has_its_version_if_there_is_one():
    assert parse_distribution('NAME="Debian"\nVERSION_ID="12"\nID=debian\n') == "debian-12"
    assert parse_distribution("ID=debian\n") == "debian"
