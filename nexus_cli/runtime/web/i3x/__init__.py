"""i3X 1.0 (CESMII's Industrial Information Interoperability eXchange) at `/i3x/v1`: the site as typed objects.

Source: github.com/cesmii/i3X, spec/IMPLEMENTATION_GUIDE.md. See docs/i3x.md and docs/decisions/0078.
"""
