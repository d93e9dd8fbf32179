"""Training: samples that are what they claim to be, losses with their optimum in the right place, steps that teach."""

import functools

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

import numpy as np  # noqa: E402
from RRLMedSAMEngine import models  # noqa: E402
from RRLMedSAMEngine.frame import FramedAtlas  # noqa: E402
from RRLMedSAMEngine.networks.candidates import NEVER  # noqa: E402
from RRLMedSAMEngine.networks.encoder import Encoder  # noqa: E402
from RRLMedSAMEngine.networks.model import Model  # noqa: E402
from RRLMedSAMEngine.networks.sizes import Sizes  # noqa: E402
from RRLMedSAMEngine.prior import make_prior  # noqa: E402
from RRLMedSAMEngine.training import appearance, cases, general, losses, networklabels, pairs, synthesis, trainer  # noqa: E402
from RRLMedSAMEngine.training.distillation import Distillation, choose_views  # noqa: E402
from RRLMedSAMEngine.training.featurecache import FeatureCache  # noqa: E402
from RRLMedSAMEngine.training.samples import Sampler  # noqa: E402
from RRLMedSAMEngine.training.stopping import PATIENCE, Stopping  # noqa: E402

pytestmark = pytest.mark.needs_torch

SMALL = Sizes(channels=(8, 12, 16, 16), token=16, embedding=8, heads=2, teacher=8)
SHAPE = (32, 32, 32)


def ball(centre, radius):
    k, j, i = np.indices(SHAPE)
    return torch.from_numpy(((i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2) < radius**2)


def framed_atlas():
    labels = torch.zeros(SHAPE, dtype=torch.int64)
    labels[ball((16, 16, 16), 10)] = 1
    labels[ball((13, 16, 16), 5)] = 2
    image = torch.tensor([0.1, 0.5, 0.9])[labels]
    return FramedAtlas(image, labels, np.array([4, 9]))


@pytest.fixture
def case_file(tmp_path):
    """A scan that is the atlas, two voxels further along i."""
    atlas = framed_atlas()
    displacement = torch.zeros(3, *SHAPE)
    displacement[0] = -2.0
    case = cases.Case(atlas.image.roll(2, dims=2), displacement, atlas.labels.roll(2, dims=2), torch.full(SHAPE, 0.8))
    cases.save(case, tmp_path / ("scan" + cases.ENDING))
    return tmp_path / ("scan" + cases.ENDING)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_case_comes_back_as_it_was_saved_whole_or_in_part(case_file):
    whole = cases.load(case_file)
    assert torch.equal(whole.labels, framed_atlas().labels.roll(2, dims=2))
    assert torch.allclose(whole.trust, torch.full(SHAPE, 0.8))
    part = cases.load(case_file, (slice(4, 20), slice(0, 32), slice(8, 24)))
    assert torch.equal(part.labels, whole.labels[4:20, :, 8:24])
    assert torch.equal(part.displacement, whole.displacement[:, 4:20, :, 8:24])


def test_samples_lead_to_the_right_structure(case_file):
    """Image, truth and the mask with errors all show the same moved anatomy."""
    sampler = Sampler(framed_atlas(), [case_file], SHAPE, generator())
    for _ in range(6):
        sample = sampler.draw()
        assert sample.image.shape == (1, 1, *SHAPE)
        assert sample.truth.shape == sample.prior.logits.shape
        assert float(sample.truth.sum(dim=0).max()) == 1.0
        right = float((sample.truth * sample.prior.probability).sum(dim=0)[sample.weight > 0].mean())
        assert right > 0.4  # far above one in three: the mask's errors are small


def test_equal_seeds_draw_equal_samples(case_file):
    one, two = (Sampler(framed_atlas(), [case_file], SHAPE, generator(7)).draw() for _ in range(2))
    assert torch.equal(one.image, two.image) and torch.equal(one.truth, two.truth)


def test_labels_that_a_person_drew_are_no_pseudo_labels(case_file):
    drawn = Sampler(framed_atlas(), [case_file], SHAPE, generator(), drawn=[case_file])
    found = Sampler(framed_atlas(), [case_file], SHAPE, generator())
    assert not any(drawn.draw().pseudo for _ in range(8))
    assert any(found.draw().pseudo for _ in range(8))


def test_contrast_changes_leave_finite_images():
    random = generator()
    for _ in range(40):
        varied = appearance.vary(framed_atlas().image, random)
        assert bool(torch.isfinite(varied).all()) and float(varied.std()) > 0


def test_the_mask_loss_is_least_for_the_truth():
    labels = framed_atlas().labels
    prior = make_prior(labels)
    truth = ((prior.structure == labels.flatten()[prior.where]) & (prior.logits > NEVER)).float()
    weight = torch.ones(len(prior.where))
    right = losses.mask_loss(prior.with_logits(truth * 20), truth, weight, 3)
    unsure = losses.mask_loss(prior, truth, weight, 3)
    wrong = losses.mask_loss(prior.with_logits(-truth * 20), truth, weight, 3)
    assert float(right) < 0.05 < float(unsure) < float(wrong)


def test_the_correlations_gradient_is_the_numerical_one():
    torch.manual_seed(0)
    fixed = torch.rand(9, 9, 9, dtype=torch.float64)
    moving = torch.rand(9, 9, 9, dtype=torch.float64, requires_grad=True)
    losses.dissimilarity(fixed, moving, 5).backward()
    step = torch.zeros_like(fixed)
    step[4, 4, 4] = 1e-5
    with torch.no_grad():
        change = losses.dissimilarity(fixed, moving + step, 5) - losses.dissimilarity(fixed, moving - step, 5)
    assert float(moving.grad[4, 4, 4]) == pytest.approx(float(change) / 2e-5, rel=1e-4)


def test_both_encoders_move_towards_each_other():
    general, medical = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(general.weight, 0.0)
    torch.nn.init.constant_(medical.weight, 1.0)
    trainer.approach(general, medical, 0.99)
    assert float(general.weight.detach()) == pytest.approx(0.01)
    assert float(medical.weight.detach()) == pytest.approx(0.99)


def test_a_pair_for_the_registration_network_has_its_grid_and_its_voxels(case_file, monkeypatch):
    monkeypatch.setattr(pairs, "MOST_VOXELS", 5000)
    pair = pairs.PairSampler(framed_atlas(), [case_file], generator()).draw()
    assert pair.target.shape == pair.atlas.shape == (16, 16, 16)
    assert torch.allclose(pair.displacement[0], torch.tensor(-1.0))  # two voxels of the frame, one of this grid


def test_synthetic_samples_are_exact():
    random = generator(3)
    source = synthesis.Synthesiser([], random)
    sample = source.draw()
    pair = source.pair()
    assert sample.atlas.count >= 2
    assert pair.target.shape == sample.atlas.labels.shape == synthesis.PATCH
    assert float(sample.truth.sum(dim=0).max()) == 1.0
    assert float(pair.displacement.abs().max()) > 0


def test_training_makes_the_mask_better(case_file):
    """On a scan whose mask has errors; the registration network and mutual-EMA take part."""
    torch.manual_seed(0)
    training = trainer.Trainer(
        Model(SMALL), Sampler(framed_atlas(), [case_file], SHAPE, generator()), trainer.Settings()
    )
    history = [training.step(0.1) for _ in range(80)]
    first, last = (np.mean([step["refined"] for step in part]) for part in (history[:8], history[-8:]))
    assert last < 0.9 * first
    assert np.isfinite(history[0]["registration"])


def test_a_step_that_is_not_finite_changes_nothing(case_file, monkeypatch):
    training = trainer.Trainer(
        Model(SMALL), Sampler(framed_atlas(), [case_file], SHAPE, generator()), trainer.Settings()
    )
    training.step(0.1)
    before = {name: weight.clone() for name, weight in training.average.state_dict().items()}
    monkeypatch.setattr(trainer.losses, "mask_loss", lambda masks, *_: masks.logits.sum() * float("nan"))
    training.step(0.1)
    assert all(torch.equal(weight, before[name]) for name, weight in training.average.state_dict().items())
    monkeypatch.undo()
    training.step(0.1)
    after = training.average.state_dict()
    assert training.steps == 3 and all(weight.isfinite().all() for weight in after.values())
    assert any(not torch.equal(weight, before[name]) for name, weight in after.items())


@pytest.mark.parametrize("most_voxels", [8e5, 5e3])  # the network's grid: the frame's, and half of it
def test_without_instance_optimisation_cases_get_what_the_network_finds(case_file, tmp_path, monkeypatch, most_voxels):
    monkeypatch.setattr(pairs, "MOST_VOXELS", most_voxels)
    atlas, model = framed_atlas(), Model(SMALL)
    (path,) = networklabels.aligned_only([case_file], atlas, tmp_path / "network")
    case = cases.load(path)
    assert torch.equal(case.labels, atlas.labels) and not case.displacement.any()
    factor = pairs.factor_for(SHAPE)

    def two_voxels_along_i(target, _atlas):
        velocity = torch.zeros(3, *(n // 2 for n in target.shape))
        velocity[0] = -2 / factor / 2  # in voxels of half the network's grid
        return velocity

    monkeypatch.setattr(model, "velocity", two_voxels_along_i)
    networklabels.relabel([path], atlas, model)
    case, truth = cases.load(path), cases.load(case_file)
    inner = (slice(6, -6),) * 3  # the motion ends at the grid's border
    assert torch.allclose(
        case.displacement[(slice(None), *inner)], truth.displacement[(slice(None), *inner)], atol=0.02
    )
    assert float((case.labels == truth.labels).float().mean()) > 0.99
    assert torch.equal(case.image, truth.image)


def test_without_instance_optimisation_the_registration_network_learns_first(case_file, tmp_path):
    torch.manual_seed(0)
    atlas = framed_atlas()
    (path,) = networklabels.aligned_only([case_file], atlas, tmp_path / "network")
    training = trainer.Trainer(
        Model(SMALL), Sampler(atlas, [path], SHAPE, generator()), trainer.Settings(optimised=False)
    )
    before = [p.clone() for p in training.model.refined.parameters()]
    assert set(training.step(0.1)) == {"registration"}
    assert all(torch.equal(a, b) for a, b in zip(before, training.model.refined.parameters()))
    assert not cases.load(path).displacement.any()
    assert {"coarse", "refined"} <= set(training.step(networklabels.ALONE))
    assert training.labelled and training.state()["labelled"]


def test_decoders_learn_alone_from_encoders_that_stay(case_file):
    torch.manual_seed(0)
    training = trainer.Trainer(
        Model(SMALL), Sampler(framed_atlas(), [case_file], SHAPE, generator()), trainer.Settings(decoders_alone=True)
    )
    begun = {name: weight.clone() for name, weight in training.average.state_dict().items()}
    own = []
    training.average.masks = lambda *seen, masks=training.average.masks: own.append(seen) or masks(*seen)
    training.average.features = lambda image: pytest.fail("Both see the same: it is looked at once.")
    history = [training.step(0.9) for _ in range(2 * trainer.PAIR_EVERY)]
    assert all(set(step) == {"coarse", "refined"} for step in history)
    assert own  # its own masks are among the targets
    for part in (training.model, training.average):
        for name, weight in part.state_dict().items():
            assert torch.equal(weight, begun[name]) != name.startswith(("coarse.", "refined.")), name


@pytest.mark.parametrize("alone", [False, True], ids=["of all networks", "of the decoders"])
def test_a_restored_training_goes_on_as_if_it_had_not_stopped(case_file, alone):
    def fresh():
        torch.manual_seed(0)
        return trainer.Trainer(
            Model(SMALL),
            Sampler(framed_atlas(), [case_file], SHAPE, generator()),
            trainer.Settings(decoders_alone=alone),
        )

    whole = fresh()
    for _ in range(3):
        whole.step(0.1)
    state = {name: value for name, value in whole.state().items()}
    state = torch.load(_saved(state), weights_only=True)
    expected = whole.step(0.1)
    resumed = fresh()
    resumed.restore(state)
    assert resumed.step(0.1) == pytest.approx(expected, rel=1e-3)


def _saved(state):
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_training_stops_when_the_atlas_is_not_followed_better(case_file):
    stopping = Stopping(framed_atlas(), [case_file], SHAPE)
    torch.manual_seed(0)
    model = Model(SMALL)
    for look in range(PATIENCE + 1):  # a model that never changes never gets better
        assert not stopping.reached
        stopping.look(model, 0.06 + 0.06 * look)
    assert stopping.reached


class TwoTones:
    """A teacher of tests: eight features that say how bright a cell is."""

    identity = "two tones"

    def features(self, slices):
        small = torch.nn.functional.adaptive_avg_pool2d(slices[:, None], 64)
        return torch.cat([small * weight for weight in np.linspace(-1, 1, 8)], dim=1)


def test_the_general_encoder_learns_what_the_teacher_sees(case_file, tmp_path):
    torch.manual_seed(0)
    random, encoder = generator(), Encoder(SMALL)
    views = choose_views([case_file], 6, random)
    assert {view.axis for view in views} == {0, 1, 2}
    distillation = Distillation(SMALL, FeatureCache(TwoTones(), tmp_path), random)
    distillation.prepare(views, 60, lambda: None)
    before = distillation.cosine(encoder, views)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *distillation.projection.parameters()], 5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        distillation.loss(encoder).backward()
        optimizer.step()
    assert distillation.cosine(encoder, views) > max(0.8, before)


@pytest.fixture
def small_general(monkeypatch):
    monkeypatch.setattr(general, "Sizes", lambda: SMALL)
    monkeypatch.setattr(synthesis, "PATCH", (24, 24, 24))
    return functools.partial(general.train, [], seed=0, device=torch.device("cpu"), say=print)


def test_a_general_model_is_trained_without_a_scan(tmp_path, small_general):
    card = small_general(tmp_path / "general.rrl", 2.0)
    assert card.atlas_fingerprint == "" and card.training["steps"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["general.rrl"]
    assert models.read(tmp_path / "general.rrl")[1] == card


def test_a_general_model_goes_on_from_another_and_learns_of_a_teacher(tmp_path, small_general, monkeypatch):
    first = small_general(tmp_path / "first.rrl", 1.0)
    monkeypatch.setattr(general.teachers, "open_teacher", lambda name, device: TwoTones())
    seen = []
    real = Distillation.loss
    monkeypatch.setattr(Distillation, "loss", lambda self, encoder: seen.append(real(self, encoder)) or seen[-1])
    card = small_general(tmp_path / "second.rrl", 8.0, teacher="two tones", base=tmp_path / "first.rrl")
    assert card.training["base"] == first.training and card.training["teacher"] == "two tones"
    assert len(seen) > 1 and sorted(path.name for path in tmp_path.iterdir()) == ["first.rrl", "second.rrl"]


def test_a_general_model_s_decoders_learn_alone(tmp_path, small_general):
    first, second = tmp_path / "first.rrl", tmp_path / "second.rrl"
    small_general(first, 1.0)
    card = small_general(second, 3.0, base=first, decoders_alone=True)
    assert card.training["decoders_alone"] is True
    before, after = (models.read(path)[0].state_dict() for path in (first, second))
    changed = {name.split(".")[0] for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {"coarse", "refined"}


def test_the_two_looks_of_few_tones_hide_borders():
    """A structure that looks like its neighbour: what is to be learnt there is to keep the mask."""
    source = synthesis.Synthesiser([], generator(5))
    looks = [source._look(20)[0] for _ in range(40)]
    few = [look for look in looks if len(set(look.tolist())) <= synthesis.MOST_TONES]
    assert 5 < len(few) < 35
