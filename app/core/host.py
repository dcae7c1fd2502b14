"""Names of hosts, as far as it matters whether they mean this machine. Pure text: no name is looked up."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """True for localhost and every loopback address, IPv4 or IPv6, without brackets."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
