# needs: openssl
# exact: no
openssl speed -seconds 1 -bytes 1024 sha256 2>/dev/null | tail -1
