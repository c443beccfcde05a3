# SPDX-License-Identifier: GPL-2.0
"""What the selftests are made of; one concept a module."""
