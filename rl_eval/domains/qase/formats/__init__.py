"""Readers and writers of file formats: Qase exports, REST pages, reporter results, flat records, history CSV."""
