#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Autobahn test suite for WebSocket (crossbario), below build/autobahn. It is written for Python 2, which Debian 12 has
# not: the interpreter comes from Debian 11, unpacked and not installed; the packages, pinned as the suite asks, from PyPI.
#
#   bash tests/support/autobahn.sh            installs it, at no cost when it is there
#   build/autobahn/wstest ARGUMENTS           runs it
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
home="$root/build/autobahn"
[[ -x $home/wstest ]] && exit 0
rm -rf "$home"
mkdir -p "$home"/{apt/lists/partial,apt/cache/archives/partial,debs,python,site,sources}

printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bullseye main\n' \
    >"$home/apt/sources.list"
apt=(-q -o "Dir::Etc::sourcelist=$home/apt/sources.list" -o Dir::Etc::sourceparts=/nonexistent
    -o "Dir::State::lists=$home/apt/lists" -o "Dir::Cache=$home/apt/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update >/dev/null
(cd "$home/debs" && apt-get "${apt[@]}" download python2.7-minimal libpython2.7-minimal libpython2.7-stdlib \
    python-pkg-resources libffi7 libssl1.1 >/dev/null)
for package in "$home"/debs/*.deb; do dpkg -x "$package" "$home/python"; done

/usr/bin/python3 -m venv "$home/pip"
pip="$home/pip/bin/pip"
"$pip" install -q wheel==0.45.1 setuptools==66.1.1 incremental==21.3.0
wheels=(autobahntestsuite==25.10.1 zope.interface==5.4.0 Automat==20.2.0 incremental==21.3.0 constantly==15.1.0
    hyperlink==21.0.0 idna==2.10 attrs==20.3.0 six==1.16.0 jinja2==2.11.3 markupsafe==1.1.1 typing==3.7.4.3
    werkzeug==0.16.1 klein==20.6.0 PyHamcrest==1.9.0 enum34==1.1.10 ipaddress==1.0.23 cryptography==3.3.2 cffi==1.14.6
    pycparser==2.20 pyOpenSSL==19.1.0 service-identity==18.1.0 pyasn1==0.4.8 pyasn1-modules==0.2.8)
"$pip" install -q --target "$home/site" --no-deps --python-version 2.7 --implementation cp --abi cp27mu --platform any \
    --platform manylinux1_x86_64 --platform manylinux2010_x86_64 --only-binary=:all: "${wheels[@]}" 2>&1 |
    grep -v '^WARNING\|notice' || true
# These have no wheel for it; their setup.py is not run, the modules are taken as they are.
for source in Twisted==20.3.0 autobahn==0.10.9 txaio==2.1.0; do
    "$pip" download -q --no-build-isolation --no-deps --no-binary :all: "$source" -d "$home/sources"
done
for archive in "$home"/sources/*.tar.*; do tar xf "$archive" -C "$home/sources"; done
cp -r "$home"/sources/Twisted-*/src/twisted "$home"/sources/autobahn-*/autobahn "$home"/sources/txaio-*/txaio "$home/site/"
touch "$home/site/zope/__init__.py"
printf 'from unittest import *\n' >"$home/site/unittest2.py" # only its old name is wanted

cat >"$home/wstest.new" <<END
#!/bin/sh
export LD_LIBRARY_PATH="$home/python/usr/lib/x86_64-linux-gnu" PYTHONHOME="$home/python/usr" PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$home/site:$home/python/usr/lib/python2.7/dist-packages:$home/python/usr/lib/python3/dist-packages"
exec "$home/python/usr/bin/python2.7" -c 'from autobahntestsuite.wstest import run; run()' "\$@"
END
chmod +x "$home/wstest.new"
"$home/wstest.new" --help >/dev/null
mv "$home/wstest.new" "$home/wstest"
