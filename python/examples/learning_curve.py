"""A metric over the versions of a file, as in a notebook: each cell begins with `# %%`."""

# %% A run that writes its results after each epoch, as before but for the import
from backstory import Archive, save_json

for epoch in range(1, 11):
    results = {"epoch": epoch, "loss": round(1 / epoch + 0.05, 4), "accuracy": round(1 - 0.5 / epoch, 4)}
    save_json(results, "runs/run_001.json", message=f"epoch {epoch}")

# %% What was saved: a notebook shows a table
archive = Archive.of("runs/run_001.json")
archive.history("runs/run_001.json", limit=3)

# %% The metric over all versions, as lists
series = archive.series("runs/run_001.json", "/loss", "/accuracy")

# %% A chart
import matplotlib

matplotlib.use("Agg")  # Not needed in a notebook.
import matplotlib.pyplot as plt

figure, axes = plt.subplots()
axes.plot(series["version"], series["/loss"], label="loss")
axes.plot(series["version"], series["/accuracy"], label="accuracy")
axes.set_xlabel("version")
axes.legend()
figure.savefig("learning_curve.png")

# %% What changed between the first epoch and the last
print(archive.diff("runs/run_001.json@1", "runs/run_001.json"))
