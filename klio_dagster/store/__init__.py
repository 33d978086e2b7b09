"""Where outputs, receipts and claims lie: obstore behind one class. Imports core."""
