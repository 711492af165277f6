"""The doctor: is the workspace sound, and what can be mended?"""
