"""What several tests need: doubles, servers, proxies. No tests live here."""
